// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/plugin/sandbox_state.hpp"
#include "runtime-plugin/plugin/state_dir.hpp"

namespace kata_vfio::plugin {

/// Throws Failure(invalid_argument) when another sandbox on record is that of the same QEMU: two
/// would plug into one bus, and the release of one leave what the other has. Two are the same when
/// their processes are; where one of them is not known, when their monitors' paths are.
///
/// Reads every sandbox's state, and parses those that may be it: call it under StateDir::lock(), so
/// that of two opens one sees the other. One that can't be read is passed over.
void refuse_second_sandbox(const StateDir& directory, const SandboxState& sandbox);

} // namespace kata_vfio::plugin
