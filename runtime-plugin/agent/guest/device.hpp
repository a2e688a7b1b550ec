// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/agent/protocol/message.hpp"
#include "vfio/host_root.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace kata_vfio::agent {

/// A node of the guest's /dev that the kernel made for a device.
struct DeviceNode {
    std::string name; ///< below /dev, "dri/card0"
    bool block = false;
    unsigned major = 0, minor = 0;
};

/// The nodes of a PCI function and of all that its driver made below it; what is another PCI
/// function's is not. Of one that vfio-pci has: its group's, and VFIO's own. Empty when the
/// function is not there.
std::vector<DeviceNode> nodes_of(const vfio::HostRoot& root, const std::string& address);

/// The MODALIAS of a function that is there.
std::optional<std::string> modalias_of(const vfio::HostRoot& root, const std::string& address);

/// What is to be told of a function now; nullopt while it is to be waited for: it is not there, has
/// no driver yet, or is a display controller whose driver has not made its /dev/dri nodes.
std::optional<DeviceReport> report_if_ready(const vfio::HostRoot& root, const std::string& address);
/// Makes the function, which must be there, vfio-pci's: driver_override, the present driver let go,
/// probed again. There is no IOMMU on machine pc, so VFIO's no-IOMMU mode is switched on. False
/// when it is not vfio-pci's yet: the kernel, which has just found it, may be at it itself, and the
/// driver's uevent is to be waited for. Throws SystemError with what the guest's kernel lacks.
bool give_to_vfio(const vfio::HostRoot& root, const std::string& address);

/// What there is to tell when nobody waits any longer; nullopt: no such function.
std::optional<DeviceReport> report_as_is(const vfio::HostRoot& root, const std::string& address);

} // namespace kata_vfio::agent
