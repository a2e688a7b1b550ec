// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "qemu/wire_log/timeline.hpp"
#include "runtime-plugin/cli/arguments.hpp"
#include "runtime-plugin/cli/io.hpp"

#include <boost/json.hpp>

#include <string>

namespace kata_vfio::cli {

/// What a sandbox's QMP took lately, of the last 100 answered commands in its wire log; null when
/// there is none. docs/json.md, "top".
boost::json::value qmp_latency(const qemu::Timeline& timeline);

/// One look for people, of one for programs (docs/json.md, "top").
std::string top_text(const boost::json::object& look);

/// kata-vfio top: a look, or one after the other until a signal, --count, or nobody reads. Returns
/// the exit status.
int top(const Arguments& arguments, Io& io);

} // namespace kata_vfio::cli
