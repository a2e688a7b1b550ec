// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "mdev/uuid.hpp"
#include "vfio/host_root.hpp"

#include <filesystem>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::mdev {

/// A mediated device (a vGPU) the kernel knows.
struct MdevDevice {
    enum class State {
        present,
        /// `remove` was written while a process held it: gone from the bus, but the directory at
        /// its parent, its group and its capacity stay until the holder lets go.
        pending_removal,
    };

    Uuid uuid;
    std::string parent;
    std::string type; ///< id; "" while pending_removal, or not complete yet
    std::optional<int> iommu_group;
    /// For QEMU's sysfsdev, as the host names it: /sys/bus/mdev/devices/UUID
    std::filesystem::path sysfs;
    /// As the host names it: /dev/vfio/N, or /dev/vfio/devices/vfioN on a kernel without group
    /// nodes; none when it does not exist.
    std::optional<std::filesystem::path> node;
    State state = State::present;
};
std::ostream& operator<<(std::ostream& out, MdevDevice::State state);

/// Every one, by UUID, those pending removal included, but for those whose parent is being unbound:
/// see find_device(). [any-thread]
std::vector<MdevDevice> list_devices(const vfio::HostRoot& root);

/// None when there is none, not even one pending removal.
///
/// `parent`: where it was made, as its record has it. A parent that is a PCI function and is being
/// unbound is no parent any more, but waits with a vGPU of its that is in use: found by that alone,
/// pending_removal.
std::optional<MdevDevice> find_device(const vfio::HostRoot& root, const Uuid& uuid,
                                      std::string_view parent = {});

/// As find_device(), but throws Failure(device_not_found) with what to do.
MdevDevice require_device(const vfio::HostRoot& root, const Uuid& uuid);

/// The directory at the parent, below the injected root: PARENT/UUID. Whether that exists is the
/// one proof that a device is gone.
std::filesystem::path parent_side(const vfio::HostRoot& root, const MdevDevice& device);

} // namespace kata_vfio::mdev
