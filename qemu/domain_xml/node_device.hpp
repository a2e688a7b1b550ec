// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "qemu/domain_xml/domain.hpp"

namespace kata_vfio::qemu::domain_xml {

/// A vGPU, as libvirt's node device XML (formatnode) has it.
struct VgpuNode {
    std::string uuid;
    std::string type;
    PciPlace parent;
    std::optional<int> iommu_group; ///< told, not asked for: left out in what is to be created
};

/// A PCI function, with the vGPU types it offers.
struct FunctionNode {
    struct Type {
        std::string id, name, device_api;
        std::uint64_t available_instances = 0;
    };
    PciPlace place;
    std::string driver;      ///< "" without one
    unsigned class_code = 0; ///< 24 bits
    unsigned vendor = 0, device = 0;
    std::optional<int> iommu_group;
    std::vector<PciPlace> group_members; ///< of the group, the function itself too
    int numa_node = -1;
    std::vector<Type> types;
};

/// "pci_0000_00_02_0", libvirt's name for it.
std::string node_name(const PciPlace& place);
/// "mdev_bbc4aafe_5807_11e8_a43e_03533cceae7d_0000_00_02_0".
std::string node_name(const VgpuNode& vgpu);

/// For `virsh nodedev-create` as it stands; with a group, as `virsh nodedev-dumpxml` shows it.
std::string write_node(const VgpuNode& vgpu);
std::string write_node(const FunctionNode& function);

/// What a <device> document asks for: a vGPU (capability mdev) or a function (capability pci).
struct NodeRequest {
    std::optional<VgpuNode> vgpu;
    std::optional<PciPlace> function;
};

/// Throws Failure(invalid_argument), naming the line.
NodeRequest read_node(std::string_view xml);

} // namespace kata_vfio::qemu::domain_xml
