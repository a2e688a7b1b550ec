// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/plugin/device_program.hpp"
#include "vfio/host_root.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace kata_vfio::shim {

/// Character devices that may be opened.
struct DeviceRule {
    std::uint32_t major = 0;
    std::optional<std::uint32_t> minor; ///< nullopt: each of that major

    bool operator==(const DeviceRule&) const = default;
};

/// What a sandbox's QEMU has a use for on this host: /dev/null and its like, KVM, VFIO's own node,
/// and VFIO's groups and devices, once their majors are there (/proc/devices), and iommufd. Not one
/// block device, and no memory: what a guest that breaks out of its QEMU would look for.
std::vector<DeviceRule> qemu_devices(const vfio::HostRoot& root);

/// A program of type cgroup_device that lets these be read and written, and nothing else of any
/// device: neither opened nor made. Pure.
std::vector<plugin::Instruction> device_program(std::span<const DeviceRule> rules);

} // namespace kata_vfio::shim
