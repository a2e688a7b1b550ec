// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/cli/arguments.hpp"
#include "runtime-plugin/cli/io.hpp"

#include <boost/json/object.hpp>

namespace kata_vfio::cli {

/// What the verb's --json would print, from kata-vfiod at --daemon. Throws Failure: the daemon's,
/// and invalid_argument for a verb that works on files, or on a socket, of its own.
boost::json::object ask_daemon(const Arguments& arguments, Io& io);

} // namespace kata_vfio::cli
