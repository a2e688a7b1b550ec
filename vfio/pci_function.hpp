// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vfio/host_root.hpp"
#include "vfio/pci_address.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace kata_vfio::vfio {

/// One memory or I/O window of a function, from the `resource` file (lines 0-5 are the BARs, 6 the
/// expansion ROM). Source: kernel Documentation/PCI/sysfs-pci.rst, include/linux/ioport.h.
struct Bar {
    int index = 0;          ///< 0-5; 6 is the expansion ROM
    std::uint64_t size = 0; ///< bytes
    bool is_64bit = false;
    bool prefetchable = false;
    bool io = false;
};

/// What sysfs says about one PCI function, at the moment it was read. Plain data.
struct PciFunction {
    PciAddress address;
    std::uint16_t vendor = 0;
    std::uint16_t device = 0;
    std::uint32_t class_code = 0; ///< 24 bits: base class, sub class, interface (0x030000 = VGA)
    std::uint8_t header_type = 0; ///< 0 endpoint, 1 PCI bridge, 2 CardBus; without the multi bit
    std::optional<std::string> driver; ///< none = not bound (also while an unbind is under way)
    /// None when unset (the kernel then reads "(null)").
    std::optional<std::string> driver_override;
    /// An unbind of this function is under way and blocked: vfio-pci, or a driver that offers vGPUs
    /// on it, waits for the last user. Its device lock is held, so driver_override can't be read
    /// (none here), nor anything bound.
    bool unbind_pending = false;
    std::optional<int> iommu_group;
    int numa_node = -1;    ///< -1 = the host does not say
    std::vector<Bar> bars; ///< only those that are implemented (size > 0)
    bool boot_vga = false; ///< the display the firmware used
    std::string modalias;  ///< "" when there is none
    /// Bound to vfio-pci or a variant driver of it (has a vfio-dev/ directory, kernel 6.1 and on).
    bool on_vfio = false;
    unsigned virtual_functions = 0;              ///< sriov_numvfs of a physical function
    std::optional<PciAddress> physical_function; ///< set for an SR-IOV virtual function
    std::filesystem::path sysfs; ///< host path for QEMU: /sys/bus/pci/devices/DDDD:BB:DD.F

    /// Base class 06, or a header that is not an endpoint's: vfio-pci does not take those.
    bool is_bridge() const noexcept { return class_code >> 16 == 0x06 || header_type != 0; }
    /// Base class 03: VGA, 3D and other display controllers.
    bool is_display() const noexcept { return class_code >> 16 == 0x03; }
    /// "8086:1616", as lspci -nn prints it.
    std::string ids() const;
    /// "0300", as lspci -nn prints it.
    std::string class_text() const;
};

/// Throws Failure: device_not_found (with the nearest address there is), host_io when vendor,
/// device or class is missing or no number. Every other attribute that is missing or malformed gets
/// the default above. [any-thread] Blocks at most 200 ms, and that only while an unbind is under
/// way.
PciFunction read_function(const HostRoot& root, const PciAddress& address);

/// Every function of the host by address; one that vanishes or can't be read while listing is left
/// out. Empty when the host has no PCI bus. [any-thread]
std::vector<PciFunction> list_functions(const HostRoot& root);

/// The mediated devices made on a function, by UUID; empty also for one that makes none. An unbind
/// of its driver removes them, whoever they belong to, and waits for their users. [any-thread]
std::vector<std::string> mediated_devices(const HostRoot& root, const PciAddress& address);

/// Throws Failure(device_in_use) naming `those`, which are on `address`, unless there are none.
void require_no_mediated_devices(const PciAddress& address, const std::vector<std::string>& those);

/// Below the injected root: .../sys/bus/pci/devices/DDDD:BB:DD.F
std::filesystem::path function_path(const HostRoot& root, const PciAddress& address);

/// The driver bound now; none = not bound or no such function. One readlink, never blocks.
std::optional<std::string> current_driver(const HostRoot& root, const PciAddress& address);

} // namespace kata_vfio::vfio
