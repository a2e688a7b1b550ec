// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vfio/deadline.hpp"
#include "vfio/host_root.hpp"
#include "vfio/pci_address.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::vfio {

/// A PCI function that has virtual functions (SR-IOV) to give, and those it has. Source: kernel
/// Documentation/PCI/pci-iov-howto.rst and ABI/testing/sysfs-bus-pci.
struct PhysicalFunction {
    PciAddress address;
    unsigned total = 0;                ///< sriov_totalvfs
    unsigned offset = 0, stride = 0;   ///< from its routing id to those of its virtual functions
    std::vector<PciAddress> functions; ///< enabled now, by virtfnN, in the order of N
    int numa_node = -1;

    /// The address that virtual function `index` has, or will have; nullopt: not one of `total`, or
    /// beyond the bus numbers.
    std::optional<PciAddress> function(unsigned index) const;
};

/// nullopt: no such function, or one without virtual functions to give. [any-thread]
std::optional<PhysicalFunction> read_physical_function(const HostRoot& root,
                                                       const PciAddress& address);

/// By address. [any-thread]
std::vector<PhysicalFunction> list_physical_functions(const HostRoot& root);

/// Enables `count` virtual functions, or takes them all away with 0, and waits until they are there
/// or gone. The kernel goes from none to some and back, never from some to others; `count` that are
/// there already are left. Written by a throw-away child: taking one away waits for its user.
/// Throws Failure: removal_pending (0, and one of them is in use), host_timeout, permission_denied,
/// host_io. [any-thread]
void set_virtual_functions(const HostRoot& root, const PciAddress& physical, unsigned count,
                           Deadline deadline);

/// The VFIO driver for a function, by its modalias: a variant such as xe-vfio-pci, which the
/// kernel's modules.alias marks by "vfio_pci:" and which must be loaded, or else vfio-pci. Of
/// several that match the one with the fewest wildcards. Source: kernel
/// drivers/vfio/pci/vfio_pci_core.c, MODULE_ALIAS of PCI_DRIVER_OVERRIDE_DEVICE_VFIO.
std::string vfio_driver_for(const HostRoot& root, std::string_view modalias);

/// The same, of the file's bytes: module names, best first.
std::vector<std::string> vfio_variants(std::string_view modules_alias, std::string_view modalias);

} // namespace kata_vfio::vfio
