// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "mdev/mdev_device.hpp"
#include "runtime-plugin/cli/host.hpp"

#include <string>

namespace kata_vfio::cli {

/// Makes a vGPU of TYPE[@PARENT], on the first parent with room when none is named. When the caller
/// has given up meanwhile it is taken away again: Failure(cancelled). Throws besides what
/// parse_device(), find_type() and mdev::create() throw.
mdev::MdevDevice make_vgpu(const Host& host, const std::string& type, const std::string& uuid,
                           const GivenUp& given_up);

/// Removes a vGPU that no sandbox has. Returns what it was. Throws Failure: malformed_uuid,
/// device_not_found, device_in_use, removal_pending, host_io, permission_denied.
mdev::MdevDevice remove_vgpu(const Host& host, const std::string& uuid);

} // namespace kata_vfio::cli
