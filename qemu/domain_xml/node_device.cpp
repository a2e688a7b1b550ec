// SPDX-License-Identifier: Apache-2.0
#include "qemu/domain_xml/node_device.hpp"

#include "config/base/text.hpp"
#include "config/base/xml_text.hpp"
#include "qemu/domain_xml/document.hpp"

#include <algorithm>
#include <cstdio>

namespace kata_vfio::qemu::domain_xml {
namespace {

std::string hex(unsigned value, int digits) {
    char out[16];
    std::snprintf(out, sizeof out, "0x%0*x", digits, value);
    return out;
}

std::string address_element(const std::string& indent, const PciPlace& place) {
    return indent + "<address domain='" + hex(place.domain, 4) + "' bus='" + hex(place.bus, 2) +
           "' slot='" + hex(place.slot, 2) + "' function='" + hex(place.function, 1) + "'/>\n";
}

std::string types_xml(const std::vector<FunctionNode::Type>& types) {
    std::string out = "    <capability type='mdev_types'>\n";
    for (const auto& type : types) {
        out += "      <type id='" + xml_escaped(type.id) + "'>\n";
        if (!type.name.empty())
            out += "        <name>" + xml_escaped(type.name) + "</name>\n";
        out += "        <deviceAPI>" + xml_escaped(type.device_api) +
               "</deviceAPI>\n        <availableInstances>" +
               std::to_string(type.available_instances) + "</availableInstances>\n      </type>\n";
    }
    return out + "    </capability>\n";
}

/// "pci_0000_00_02_0" back.
std::optional<PciPlace> place_of_name(std::string name) {
    if (!name.starts_with("pci_") || name.size() != 16)
        return std::nullopt;
    name = name.substr(4);
    if (name[4] != '_' || name[7] != '_' || name[10] != '_')
        return std::nullopt;
    name[4] = name[7] = ':';
    name[10] = '.';
    return PciPlace::parse(name);
}

} // namespace

std::string node_name(const PciPlace& place) {
    auto name = "pci_" + place.text();
    std::replace_if(
        name.begin(), name.end(), [](char c) { return c == ':' || c == '.'; }, '_');
    return name;
}

std::string node_name(const VgpuNode& vgpu) {
    auto name = "mdev_" + vgpu.uuid;
    std::replace(name.begin(), name.end(), '-', '_');
    return name + node_name(vgpu.parent).substr(3);
}

std::string write_node(const VgpuNode& vgpu) {
    std::string out =
        "<device>\n  <name>" + xml_escaped(node_name(vgpu)) + "</name>\n  <parent>" +
        node_name(vgpu.parent) + "</parent>\n  <capability type='mdev'>\n    <type id='" +
        xml_escaped(vgpu.type) + "'/>\n    <uuid>" + xml_escaped(vgpu.uuid) + "</uuid>\n";
    if (vgpu.iommu_group)
        out += "    <iommuGroup number='" + std::to_string(*vgpu.iommu_group) + "'/>\n";
    return out + "  </capability>\n</device>\n";
}

std::string write_node(const FunctionNode& function) {
    const auto& place = function.place;
    std::string out = "<device>\n  <name>" + node_name(place) + "</name>\n";
    if (!function.driver.empty())
        out += "  <driver>\n    <name>" + xml_escaped(function.driver) + "</name>\n  </driver>\n";
    out += "  <capability type='pci'>\n    <class>" + hex(function.class_code, 6) +
           "</class>\n    <domain>" + std::to_string(place.domain) + "</domain>\n    <bus>" +
           std::to_string(place.bus) + "</bus>\n    <slot>" + std::to_string(place.slot) +
           "</slot>\n    <function>" + std::to_string(place.function) +
           "</function>\n    <product id='" + hex(function.device, 4) + "'/>\n    <vendor id='" +
           hex(function.vendor, 4) + "'/>\n";
    if (!function.types.empty())
        out += types_xml(function.types);
    if (function.iommu_group) {
        out += "    <iommuGroup number='" + std::to_string(*function.iommu_group) + "'>\n";
        for (const auto& member : function.group_members)
            out += address_element("      ", member);
        out += "    </iommuGroup>\n";
    }
    if (function.numa_node >= 0)
        out += "    <numa node='" + std::to_string(function.numa_node) + "'/>\n";
    return out + "  </capability>\n</device>\n";
}

NodeRequest read_node(std::string_view xml) {
    const Document document(xml);
    const auto root = document.root();
    if (root.name() != std::string("device"))
        throw document.refuse(root, "this is no node device XML")
            .remedy("virsh nodedev-dumpxml and kata-vfio xml export --nodedev write it");
    const auto capability = document.child(root, "capability");
    const auto type = Document::value(capability, "type");
    NodeRequest request;
    if (type == "pci") {
        PciPlace place;
        const auto part = [&](const char* name, std::uint64_t most) {
            const auto node = document.child(capability, name);
            if (!node)
                throw document.refuse(capability, std::string("it has no <") + name + ">")
                    .remedy("a function has <domain>, <bus>, <slot> and <function>");
            return static_cast<unsigned>(
                document.number(node, Document::text(node), "the number", most));
        };
        place.domain = part("domain", 0xffff);
        place.bus = part("bus", 0xff);
        place.slot = part("slot", 0x1f);
        place.function = part("function", 7);
        request.function = place;
        return request;
    }
    if (type != "mdev")
        throw document
            .refuse(capability ? capability : root,
                    "capability " + quoted(type) + " is neither 'pci' nor 'mdev'")
            .remedy("a function's is 'pci', a vGPU's 'mdev'");
    VgpuNode vgpu;
    vgpu.type = Document::value(document.child(capability, "type"), "id");
    if (vgpu.type.empty())
        throw document.refuse(capability, "it has no <type id='...'/>")
            .remedy("kata-vfio types lists the types there are");
    vgpu.uuid = Document::text(document.child(capability, "uuid"));
    const auto parent = Document::text(document.child(root, "parent"));
    const auto place = place_of_name(parent);
    if (!place)
        throw document
            .refuse(root, "parent " + quoted(parent) + " is no PCI function (pci_0000_00_02_0)")
            .remedy("kata-vfio xml export --nodedev BDF has its name");
    vgpu.parent = *place;
    if (const auto attr = capability.child("attr"))
        throw document.refuse(attr, "an attach sets no attributes of a vGPU")
            .remedy("leave <attr> out");
    request.vgpu = std::move(vgpu);
    return request;
}

} // namespace kata_vfio::qemu::domain_xml
