// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/cli/arguments.hpp"
#include "runtime-plugin/cli/check/requirement.hpp"
#include "runtime-plugin/cli/io.hpp"

#include <boost/json/object.hpp>

#include <string>
#include <vector>

namespace kata_vfio::cli {

/// docs/json.md "check"
boost::json::object check_json(const HostFacts& facts, const std::vector<Requirement>& lines);

/// For people: three sections, each line with its verdict and, when it does not pass, its fix.
std::string check_text(const std::vector<Requirement>& lines, bool colour);

/// The verb: 0 when the modes asked for (GVT-d when none is) are ready, else 4.
int check(const Arguments& arguments, Io& io);

} // namespace kata_vfio::cli
