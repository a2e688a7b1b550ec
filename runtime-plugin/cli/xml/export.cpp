// SPDX-License-Identifier: Apache-2.0
#include "config/base/failure.hpp"
#include "config/base/text.hpp"
#include "config/load.hpp"
#include "mdev/mdev_device.hpp"
#include "mdev/mdev_type.hpp"
#include "mdev/uuid.hpp"
#include "qemu/domain_xml/node_device.hpp"
#include "runtime-plugin/cli/host.hpp"
#include "runtime-plugin/cli/json_text.hpp"
#include "runtime-plugin/cli/sandbox_verbs.hpp"
#include "runtime-plugin/cli/xml/xml_verbs.hpp"
#include "vfio/iommu_group.hpp"
#include "vfio/pci_function.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <filesystem>
#include <thread>

namespace kata_vfio::cli {
namespace json = boost::json;
namespace xml = qemu::domain_xml;
namespace {

xml::PciPlace place_of(const vfio::PciAddress& address) {
    return {address.domain, address.bus, address.device, address.function};
}

xml::Hostdev hostdev_of(const json::object& attachment) {
    xml::Hostdev hostdev;
    hostdev.uuid = string_at(attachment, "uuid");
    hostdev.kind = hostdev.uuid.empty() ? xml::Hostdev::Kind::pci : xml::Hostdev::Kind::mdev;
    if (hostdev.kind == xml::Hostdev::Kind::pci)
        hostdev.host = place_of(vfio::PciAddress::require(string_at(attachment, "host_address")));
    hostdev.managed = flag_at(attachment, "owned");
    hostdev.guest = xml::PciPlace::parse(string_at(attachment, "guest_address"));
    hostdev.id = string_at(attachment, "id");
    return hostdev;
}

/// libvirt wants it of function 0 where a slot has more.
void mark_multifunction(std::vector<xml::Hostdev>& hostdevs) {
    for (auto& one : hostdevs)
        one.multifunction = one.guest && one.guest->function == 0 &&
                            std::ranges::any_of(hostdevs, [&](const auto& other) {
                                return other.guest && other.guest->slot == one.guest->slot &&
                                       other.guest->function != 0;
                            });
}

void apply_configuration(const Arguments& arguments, xml::Domain& domain) {
    config::Configuration configuration;
    if (const auto file = configuration_file(arguments))
        configuration = config::load(*file);
    const auto& has = configuration.hypervisor;
    domain.emulator = has.path;
    domain.memory_kib =
        static_cast<std::uint64_t>(std::max<std::int64_t>(1, has.default_memory)) * 1024;
    domain.vcpus = has.default_vcpus > 0    ? static_cast<std::uint64_t>(has.default_vcpus)
                   : has.default_vcpus == 0 ? 1
                                            : std::max(1u, std::thread::hardware_concurrency());
}

std::string node_xml(const Host& host, const std::string& device) {
    if (mdev::Uuid::looks_like(device)) {
        const auto uuid = mdev::Uuid::require(device);
        for (const auto& vgpu : mdev::list_devices(host.root)) {
            if (!(vgpu.uuid == uuid))
                continue;
            const auto parent = vfio::PciAddress::parse(vgpu.parent);
            if (!parent)
                throw Failure(Errc::parent_not_found, "the parent of vGPU " + uuid.text() + ", " +
                                                          quoted(vgpu.parent) +
                                                          ", is no PCI function")
                    .remedy("libvirt names such a parent in its own way: virsh nodedev-list");
            return xml::write_node(
                xml::VgpuNode{uuid.text(), vgpu.type, place_of(*parent), vgpu.iommu_group});
        }
        throw Failure(Errc::device_not_found, "there is no vGPU " + uuid.text())
            .remedy("kata-vfio vgpus lists them");
    }
    const auto address = vfio::PciAddress::require(device);
    const auto function = vfio::read_function(host.root, address);
    xml::FunctionNode node;
    node.place = place_of(address);
    node.driver = function.driver.value_or("");
    node.class_code = function.class_code;
    node.vendor = function.vendor;
    node.device = function.device;
    node.iommu_group = function.iommu_group;
    node.numa_node = function.numa_node;
    if (function.iommu_group)
        for (const auto& member : vfio::read_group(host.root, *function.iommu_group).members)
            if (const auto place = xml::PciPlace::parse(member.name))
                node.group_members.push_back(*place);
    for (const auto& parent : mdev::list_parents(host.root))
        if (parent.name == address.text())
            for (const auto& type : parent.types)
                node.types.push_back({type.id, type.name.value_or(""), type.device_api,
                                      static_cast<std::uint64_t>(type.available_instances)});
    return xml::write_node(node);
}

} // namespace

xml::Domain exported_domain(const Arguments& arguments, const std::string& id, Io& io) {
    auto listing = arguments;
    listing.sandbox = id;
    const auto listed = list(listing, io);
    const auto& sandbox = listed.at("sandboxes").as_array().at(0).as_object();
    xml::Domain domain;
    domain.name = id;
    domain.machine = string_at(sandbox, "machine");
    apply_configuration(arguments, domain);
    std::error_code ec;
    domain.kvm = std::filesystem::exists(vfio::HostRoot(arguments.root).dev("kvm"), ec);
    for (const auto& each : sandbox.at("attachments").as_array()) {
        const auto& attachment = each.as_object();
        const auto name = string_at(attachment, "id");
        if (flag_at(attachment, "unplugged"))
            domain.notes.push_back(name + " left out: it is unplugged");
        else if (flag_at(attachment, "prepared"))
            domain.notes.push_back(name + " has no guest address: it waits for the guest's start");
        if (!flag_at(attachment, "unplugged"))
            domain.hostdevs.push_back(hostdev_of(attachment));
    }
    mark_multifunction(domain.hostdevs);
    return domain;
}

int xml_export(const Arguments& arguments, Io& io) {
    json::object made;
    std::vector<std::string> notes;
    std::string text;
    if (arguments.nodedev) {
        text = node_xml(open_host(arguments), arguments.subject);
        made = {{"device", arguments.subject}, {"xml", text}};
    } else {
        const auto domain = exported_domain(arguments, arguments.subject, io);
        text = xml::write_domain(domain);
        notes = domain.notes;
        made = {{"sandbox", arguments.subject}, {"xml", text}};
    }
    made["notes"] = json::value_from(notes);
    if (arguments.json) {
        io.out << json::serialize(made) << '\n';
        return 0;
    }
    for (const auto& note : notes)
        io.err << "kata-vfio: " << note << '\n';
    io.out << text;
    return 0;
}

} // namespace kata_vfio::cli
