// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/daemon/gate.hpp"

namespace kata_vfio::daemon {

/// Adds qmp.proto: a client of the sandbox's QMP proxy, and a reader of its wire log. The monitor
/// itself is the plugin's.
void serve_qmp(Gate& gate, Core& core);

} // namespace kata_vfio::daemon
