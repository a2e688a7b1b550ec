// SPDX-License-Identifier: Apache-2.0
#include "vfio/iommu_group.hpp"

#include "config/base/failure.hpp"
#include "config/base/text.hpp"
#include "vfio/pci_function.hpp"
#include "vfio/sysfs_read.hpp"

#include <algorithm>
#include <climits>

namespace kata_vfio::vfio {
namespace fs = std::filesystem;
namespace {

// The shape of a UUID, here because this room knows nothing of mdev's.
bool is_uuid(std::string_view text) {
    if (text.size() != 36)
        return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        const bool hex = std::string_view("0123456789abcdefABCDEF").find(text[i]) != text.npos;
        if (dash ? text[i] != '-' : !hex)
            return false;
    }
    return true;
}

std::optional<int> group_number(std::string_view name) {
    const auto n = number(name);
    if (!n || *n > INT_MAX)
        return std::nullopt;
    return static_cast<int>(*n);
}

std::vector<int> group_numbers(const HostRoot& root) {
    std::vector<int> numbers;
    for (const auto& name : names_in(root.sys("kernel/iommu_groups")))
        if (const auto n = group_number(name))
            numbers.push_back(*n);
    std::sort(numbers.begin(), numbers.end());
    return numbers;
}

Failure no_iommu_here(const HostRoot& root) {
    Failure failure(Errc::no_iommu, "this host has no IOMMU groups");
    const auto cmdline = attribute(root.proc("cmdline")).value_or("");
    const auto words = split(cmdline, ' ');
    if (std::find(words.begin(), words.end(), "intel_iommu=on") == words.end())
        failure.remedy("put intel_iommu=on (AMD: nothing, or amd_iommu=on) on the kernel command "
                       "line, enable VT-d or AMD-Vi in the firmware, and boot again");
    else
        failure.remedy("intel_iommu=on is on the kernel command line: enable VT-d in the firmware, "
                       "and look for DMAR in the kernel log");
    return failure;
}

} // namespace

std::optional<int> group_link(const std::string& device_dir) {
    const auto name = link_name(device_dir + "/iommu_group");
    return name ? group_number(*name) : std::nullopt;
}

IommuGroup read_group(const HostRoot& root, int number) {
    const auto dir = root.sys("kernel/iommu_groups") / std::to_string(number);
    if (!fs::exists(dir)) {
        const auto there = group_numbers(root);
        if (there.empty())
            throw no_iommu_here(root);
        throw Failure(Errc::device_not_found,
                      "no IOMMU group " + std::to_string(number) + " on this host")
            .remedy("there are groups " + std::to_string(there.front()) + " to " +
                    std::to_string(there.back()) + ": see /sys/kernel/iommu_groups");
    }
    IommuGroup group;
    group.number = number;
    for (const auto& name : names_in(dir / "devices")) {
        GroupMember member;
        member.name = name;
        member.pci = PciAddress::parse(name);
        member.is_mdev = is_uuid(name);
        group.members.push_back(std::move(member));
    }
    group.name = attribute(dir / "name");
    group.type = attribute(dir / "type");
    return group;
}

std::vector<IommuGroup> list_groups(const HostRoot& root) {
    std::vector<IommuGroup> groups;
    for (const int number : group_numbers(root)) {
        try {
            groups.push_back(read_group(root, number));
        } catch (const Failure& failure) {
            // A vGPU's group goes with the vGPU, also between two lines of ours.
            if (failure.code() != Errc::device_not_found && failure.code() != Errc::no_iommu)
                throw;
        }
    }
    return groups;
}

int group_of(const HostRoot& root, const PciAddress& address) {
    const auto dir = function_path(root, address);
    if (const auto group = group_link(dir))
        return *group;
    if (!fs::exists(dir))
        read_function(root, address); // throws device_not_found with what is near
    const auto groups = group_numbers(root).size();
    if (groups == 0)
        throw no_iommu_here(root);
    throw Failure(Errc::no_iommu, address.text() + " has no IOMMU group, though this host has " +
                                      std::to_string(groups))
        .remedy("the IOMMU does not cover this function (see DMAR in the kernel log): it can't be "
                "given to a guest");
}

} // namespace kata_vfio::vfio
