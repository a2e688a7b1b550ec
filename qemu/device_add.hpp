// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/json/object.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace kata_vfio::qemu {

/// The root bus of the pc machine (hw/pci-host/i440fx.c).
inline constexpr std::string_view root_bus_id = "pci.0";

/// A device to hot-plug. Not an aggregate on purpose (see FrameLimits in qmp/frame.hpp).
struct VfioDevice {
    /// qdev id, [A-Za-z][A-Za-z0-9._-]*: QEMU 9.2 accepts others but can't address them any more.
    std::string id;
    /// /sys/bus/mdev/devices/UUID or /sys/bus/pci/devices/BDF; serves vGPUs and functions alike.
    std::string sysfsdev;
    /// "05" or "05.0" (hexadecimal slot, function 0-7); nullopt: QEMU takes the first free slot.
    std::optional<std::string> addr;
    std::string bus{root_bus_id};
    /// Another pluggable PCI model is for tests on hosts without VFIO; it takes no sysfsdev.
    std::string driver = "vfio-pci";
    std::optional<bool> multifunction;
    std::optional<std::int64_t> rombar;
    std::optional<std::string> romfile; ///< "" is "no option ROM"
    std::optional<std::string> display; ///< "on", "off", "auto": an enum, so a string
    /// Id of an iommufd object: QEMU then opens the device's cdev instead of its group's node
    /// (QEMU 9.0, kernel 6.6). nullopt: the group's.
    std::optional<std::string> iommufd;

    explicit VfioDevice(std::string qdev_id, std::string sysfs_path = {})
        : id(std::move(qdev_id)), sysfsdev(std::move(sysfs_path)) {}
};

bool is_device_id(std::string_view id) noexcept;

struct SlotFunction {
    unsigned slot = 0, function = 0;
};
/// "05", "5" or "05.0" as QEMU reads it: hexadecimal slot 0-1f, function 0-7.
std::optional<SlotFunction> parse_addr(std::string_view addr) noexcept;

/// device_add's arguments, one encoding for QEMU 5 to 11: booleans and integers as such, enums and
/// addresses as strings. Up to 9.1 QEMU took anything as a string, from 9.2 on (commit
/// be93fd53723c) it checks types, and an *integer* addr then means devfn instead of slot. Throws
/// Failure(invalid_argument) on a malformed id, addr or display, or a missing sysfsdev.
boost::json::object encode_device_add(const VfioDevice& device);

} // namespace kata_vfio::qemu
