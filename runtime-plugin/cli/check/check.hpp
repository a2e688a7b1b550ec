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

/// The lines that check_json() has written. What is no word of ours is `unknown`.
std::vector<Requirement> requirements_of(const boost::json::object& checked);

/// For people: three sections, each line with its verdict and, when it does not pass, its fix.
std::string check_text(const std::vector<Requirement>& lines, bool colour);

/// The lines that `needs` has, under a heading.
std::string requirements_text(const std::vector<Requirement>& lines, Needs needs,
                              std::string_view heading, bool colour);
/// "TITLE: ready" or how many of the required lines of both and of `mode` failed, and are unknown.
std::string requirements_summary(const std::vector<Requirement>& lines, Needs mode,
                                 std::string_view title);

/// The verb (with --guest-kernel that of guest_kernel.hpp): 0 when the modes asked for (GVT-d when
/// none is) are ready, else 4.
int check(const Arguments& arguments, Io& io);
/// Its second half: prints check_json()'s object, and the exit status.
int check_result(const Arguments& arguments, const boost::json::object& checked, Io& io);

} // namespace kata_vfio::cli
