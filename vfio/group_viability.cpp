// SPDX-License-Identifier: Apache-2.0
#include "config/base/failure.hpp"
#include "config/base/text.hpp"
#include "vfio/iommu_group.hpp"
#include "vfio/pci_function.hpp"
#include "vfio/sysfs_read.hpp"

#include <algorithm>

namespace kata_vfio::vfio {
namespace fs = std::filesystem;
namespace {

/// Whether the kernel lets a group be taken with a member on this driver. vfio-pci's variants are
/// known by their vfio-dev/ directory (6.1 and on); the others set driver_managed_dma in the
/// kernel.
bool harmless(const fs::path& device, const std::string& driver) {
    return driver == "vfio-pci" || driver == "pci-stub" || driver == "pcieport" ||
           !names_in(device / "vfio-dev").empty();
}

} // namespace

std::vector<Blocker> viability_blockers(const HostRoot& root, const IommuGroup& group,
                                        const std::vector<PciAddress>& taken) {
    std::vector<Blocker> blockers;
    const auto devices = root.sys("kernel/iommu_groups") / std::to_string(group.number) / "devices";
    for (const auto& member : group.members) {
        if (member.is_mdev ||
            (member.pci && std::find(taken.begin(), taken.end(), *member.pci) != taken.end()))
            continue;
        const auto driver = link_name(devices / member.name / "driver");
        if (driver && !harmless(devices / member.name, *driver))
            blockers.push_back(
                Blocker{member.name, *driver, member.name + " is bound to " + *driver});
    }
    return blockers;
}

void require_viable(const HostRoot& root, const IommuGroup& group,
                    const std::vector<PciAddress>& taken) {
    const auto blockers = viability_blockers(root, group, taken);
    if (blockers.empty())
        return;
    std::vector<std::string> who, commands;
    for (const auto& blocker : blockers) {
        who.push_back(blocker.why);
        if (PciAddress::parse(blocker.member))
            commands.push_back("kata-vfio bind " + blocker.member);
        else
            commands.push_back("echo " + blocker.member + " > /sys/kernel/iommu_groups/" +
                               std::to_string(group.number) + "/devices/" + blocker.member +
                               "/driver/unbind");
    }
    throw Failure(Errc::group_not_viable,
                  "IOMMU group " + std::to_string(group.number) + " is not viable")
        .blocked_by(join_words(who))
        .remedy("the whole group goes to one guest, so take " +
                std::string(blockers.size() == 1 ? "it" : "them") +
                " from the host first: " + join_words(commands, "; "));
}

} // namespace kata_vfio::vfio
