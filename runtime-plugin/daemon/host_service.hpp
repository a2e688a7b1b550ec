// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/daemon/gate.hpp"

namespace kata_vfio::daemon {

/// Adds host.proto, by what the command line's host verbs are made of.
void serve_host(Gate& gate, Core& core);

} // namespace kata_vfio::daemon
