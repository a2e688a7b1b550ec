// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/daemon/options.hpp"

namespace kata_vfio::daemon {

/// kata-vfiod until SIGTERM or SIGINT. Throws Failure when it can't begin. Once per process, before
/// other threads are started: SIGHUP, SIGTERM and SIGINT are its own.
void run(const Options& options);

} // namespace kata_vfio::daemon
