// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/cli/arguments.hpp"
#include "runtime-plugin/cli/io.hpp"

#include <boost/json/object.hpp>

#include <string>

namespace kata_vfio::cli {

// The verbs that work on a sandbox, all through the plugin's C ABI. Each returns what --json prints
// (docs/json.md) and throws Failure.
boost::json::object open_sandbox(const Arguments& arguments, Io& io);
boost::json::object release_sandbox(const Arguments& arguments, Io& io);
boost::json::object attach(const Arguments& arguments, Io& io);
boost::json::object detach(const Arguments& arguments, Io& io);
/// docs/json.md, "reconcile".
boost::json::object reconcile(const Arguments& arguments, Io& io);
boost::json::object list(const Arguments& arguments, Io& io);

} // namespace kata_vfio::cli
