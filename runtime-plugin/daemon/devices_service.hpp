// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/daemon/gate.hpp"

namespace kata_vfio::daemon {

/// Adds devices.proto, all through the plugin.
void serve_devices(Gate& gate, Core& core);

/// Adds operations.proto.
void serve_operations(Gate& gate, Core& core);

} // namespace kata_vfio::daemon
