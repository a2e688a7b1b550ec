// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/plugin/file_lock.hpp"
#include "vfio/host_root.hpp"
#include "vfio/pci_address.hpp"

namespace kata_vfio::cli {

/// Waits until no other process of ours binds or restores this function by hand (a command line,
/// kata-vfiod), and keeps the others out as long as it is held: each reads how the function is,
/// writes that down and changes it. The lock is on the function's directory in sysfs, which is
/// there before anybody's state directory is, and goes with the function. Who holds it is bounded
/// by [vfio.timeouts] host_write. Throws Failure(device_not_found, host_io).
plugin::FileLock take_turn(const vfio::HostRoot& root, const vfio::PciAddress& address);

} // namespace kata_vfio::cli
