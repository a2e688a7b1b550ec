// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/daemon/gate.hpp"

namespace kata_vfio::daemon {

/// Adds sandboxes.proto, all through the plugin; Watch from the core's events.
void serve_sandboxes(Gate& gate, Core& core);

} // namespace kata_vfio::daemon
