// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vfio/host_root.hpp"
#include "vfio/pci_address.hpp"

#include <optional>
#include <string>
#include <vector>

namespace kata_vfio::vfio {

/// A device in an IOMMU group: a PCI function, a mediated device, or (rarely) something else.
struct GroupMember {
    std::string name;              ///< as sysfs names it: BDF, UUID, or a platform device's name
    std::optional<PciAddress> pci; ///< set for a PCI function
    bool is_mdev = false;          ///< the name is a mediated device's UUID
};

/// The smallest set of devices the IOMMU can keep apart from others: it goes to one user as a
/// whole. Source: /sys/kernel/iommu_groups, kernel Documentation/driver-api/vfio.rst.
struct IommuGroup {
    int number = 0;
    std::vector<GroupMember> members; ///< by name
    std::optional<std::string> name;  ///< "vfio-noiommu" for a group without protection
    std::optional<std::string> type;  ///< "DMA", "DMA-FQ", "identity", ...
};

/// Throws Failure: no_iommu when the host has no groups at all, device_not_found for an unknown
/// one.
IommuGroup read_group(const HostRoot& root, int number);

/// By number; empty when the host has no IOMMU.
std::vector<IommuGroup> list_groups(const HostRoot& root);

/// The group of a PCI function. Throws Failure: device_not_found; no_iommu, whose text tells "this
/// host has none: intel_iommu=on" from "this function has none".
int group_of(const HostRoot& root, const PciAddress& address);

/// The group number an `iommu_group` link at `device_dir` (a path below the root) points to; none
/// when there is no such link or it names no number.
std::optional<int> group_link(const std::string& device_dir);

/// A group member that keeps the group from being given to a guest.
struct Blocker {
    std::string member; ///< its name in sysfs
    std::string driver; ///< the host driver it is bound to
    std::string why;    ///< "0000:00:1f.2 is bound to ahci"
};

/// Who would stop `group` from being taken, when the functions in `taken` are (or will be) bound to
/// vfio-pci. A member on a host driver blocks; unbound, pci-stub, pcieport, vfio-pci and its
/// variants do not. Source: kernel drivers/iommu/iommu.c iommu_group_claim_dma_owner() and the
/// drivers with driver_managed_dma.
std::vector<Blocker> viability_blockers(const HostRoot& root, const IommuGroup& group,
                                        const std::vector<PciAddress>& taken = {});

/// Throws Failure(group_not_viable) that names every blocker with its driver and the commands that
/// would free the group.
void require_viable(const HostRoot& root, const IommuGroup& group,
                    const std::vector<PciAddress>& taken = {});

} // namespace kata_vfio::vfio
