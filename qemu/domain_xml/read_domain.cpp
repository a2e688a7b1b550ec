// SPDX-License-Identifier: Apache-2.0
#include "config/base/text.hpp"
#include "qemu/domain_xml/document.hpp"
#include "qemu/machine.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace kata_vfio::qemu::domain_xml {
namespace {

/// libvirt's units of memory (formatdomain, "Memory Allocation") in bytes.
std::uint64_t unit_bytes(const std::string& unit) {
    static const std::map<std::string, std::uint64_t> units{
        {"b", 1},           {"bytes", 1},       {"KB", 1000},      {"k", 1024},
        {"KiB", 1024},      {"MB", 1000000},    {"M", 1u << 20},   {"MiB", 1u << 20},
        {"GB", 1000000000}, {"G", 1u << 30},    {"GiB", 1u << 30}, {"TB", 1000000000000},
        {"T", 1ull << 40},  {"TiB", 1ull << 40}};
    if (unit.empty())
        return 1024;
    const auto found = units.find(unit);
    return found == units.end() ? 0 : found->second;
}

class Reader {
  public:
    explicit Reader(std::string_view xml) : document_(xml) {}

    Domain read() {
        const auto root = document_.root();
        if (root.name() != std::string("domain"))
            throw document_.refuse(root, "this is no domain XML");
        const auto type = Document::value(root, "type");
        if (type != "kvm" && type != "qemu")
            throw document_.refuse(root, "type " + quoted(type) + " is neither 'kvm' nor 'qemu'");
        domain_.kvm = type == "kvm";
        domain_.name = Document::text(root.child("name"));
        domain_.uuid = Document::text(root.child("uuid"));
        read_machine(root);
        read_sizes(root);
        const auto devices = root.child("devices");
        domain_.emulator = Document::text(devices.child("emulator"));
        for (const auto& hostdev : devices.children("hostdev"))
            read_hostdev(hostdev);
        note_other_devices(devices);
        return std::move(domain_);
    }

  private:
    void note(const pugi::xml_node& node, const std::string& text) {
        domain_.notes.push_back("line " + std::to_string(document_.line_of(node)) + ": " + text);
    }

    void read_machine(const pugi::xml_node& root) {
        const auto type = root.child("os").child("type");
        if (!type)
            throw document_.refuse(root, "it has no <os><type machine='...'>");
        const auto arch = Document::value(type, "arch");
        if (!arch.empty() && arch != "x86_64")
            throw document_
                .refuse(type, "arch " + quoted(arch) + " has no pc machine", Errc::machine_refused)
                .remedy("VFIO devices go to the root bus of x86_64's pc machine");
        domain_.machine = Document::value(type, "machine");
        if (domain_.machine.empty())
            throw document_
                .refuse(type, "it names no machine, and each libvirt has its own default")
                .remedy("write machine='pc'");
        if (domain_.machine != "pc" && !is_pc_machine(domain_.machine + "-machine"))
            throw document_
                .refuse(type,
                        "machine " + quoted(domain_.machine) +
                            " has a root bus that takes no VFIO device",
                        Errc::machine_refused)
                .remedy("write machine='pc'");
    }

    void read_sizes(const pugi::xml_node& root) {
        if (const auto memory = root.child("memory")) {
            const auto unit = unit_bytes(Document::value(memory, "unit"));
            if (unit == 0)
                throw document_.refuse(memory, "unit " + quoted(Document::value(memory, "unit")) +
                                                   " is none of libvirt's");
            // Far above any guest, and nothing below overflows.
            domain_.memory_kib = (document_.number(memory, Document::text(memory), "the size",
                                                   (std::uint64_t{1} << 60) / unit) *
                                      unit +
                                  1023) /
                                 1024;
        }
        if (const auto vcpu = root.child("vcpu"))
            domain_.vcpus = document_.number(vcpu, Document::text(vcpu), "the count", 4096);
        if (domain_.vcpus == 0)
            throw document_.refuse(root.child("vcpu"), "a guest has one CPU at least");
    }

    void read_hostdev(const pugi::xml_node& node) {
        const auto mode = Document::value(node, "mode");
        const auto type = Document::value(node, "type");
        if (!mode.empty() && mode != "subsystem")
            throw document_.refuse(node, "mode " + quoted(mode) + " is not 'subsystem'");
        if (type != "pci" && type != "mdev")
            throw document_.refuse(node, "type " + quoted(type) + " is no VFIO device")
                .remedy("pci and mdev are");
        Hostdev hostdev;
        hostdev.line = document_.line_of(node);
        hostdev.kind = type == "pci" ? Hostdev::Kind::pci : Hostdev::Kind::mdev;
        const auto source = node.child("source").child("address");
        if (!source)
            throw document_.refuse(node, "it has no <source><address .../>");
        if (hostdev.kind == Hostdev::Kind::pci)
            read_pci(node, source, hostdev);
        else
            read_mdev(node, source, hostdev);
        const auto alias = Document::value(node.child("alias"), "name");
        // hostdev0 and the like are libvirt's own numbering, not a name that somebody gave.
        if (alias.starts_with("ua-") && is_device_id(alias.substr(3)))
            hostdev.id = alias.substr(3);
        read_guest(node, hostdev);
        if (node.child("boot"))
            note(node.child("boot"),
                 "boot order is not for a device that is hot-plugged: left out");
        require_once(node, hostdev);
        domain_.hostdevs.push_back(std::move(hostdev));
    }

    void read_pci(const pugi::xml_node& node, const pugi::xml_node& source, Hostdev& hostdev) {
        const auto driver = node.child("driver");
        const auto backend = Document::value(driver, "name");
        if (!backend.empty() && backend != "vfio")
            throw document_.refuse(driver, "name " + quoted(backend) + " is not 'vfio'");
        if (const auto model = Document::value(driver, "model");
            !model.empty() && model != "vfio-pci")
            throw document_.refuse(driver, "model " + quoted(model) + " is not 'vfio-pci'")
                .remedy("bind the function to it by hand, and leave model out");
        if (const auto rom = node.child("rom"))
            throw document_.refuse(rom, "an attach has no option for a ROM")
                .remedy("leave <rom> out");
        if (const auto teaming = node.child("teaming"))
            throw document_.refuse(teaming, "failover is for network devices");
        hostdev.host = document_.place(source);
        const auto managed = Document::value(node, "managed");
        hostdev.managed = managed == "yes"; // libvirt's default is no
        if (!hostdev.managed)
            note(node, hostdev.name() + " is not managed: an attach binds it to vfio-pci all the "
                                        "same, if it is not, and gives it back");
    }

    void read_mdev(const pugi::xml_node& node, const pugi::xml_node& source, Hostdev& hostdev) {
        const auto model = Document::value(node, "model");
        if (model != "vfio-pci")
            throw document_.refuse(node, "model " + quoted(model) + " is not 'vfio-pci'");
        for (const auto* option : {"display", "ramfb"})
            if (const auto wish = Document::value(node, option); !wish.empty() && wish != "off")
                throw document_
                    .refuse(node, std::string(option) + "=" + quoted(wish) +
                                      " is only for a device that QEMU starts with")
                    .remedy(std::string("leave ") + option + " out");
        hostdev.uuid = Document::value(source, "uuid");
        if (hostdev.uuid.empty())
            throw document_.refuse(source, "it has no uuid");
    }

    void read_guest(const pugi::xml_node& node, Hostdev& hostdev) {
        const auto address = node.child("address");
        if (!address)
            return;
        const auto type = Document::value(address, "type");
        if (type != "pci")
            throw document_.refuse(address, "type " + quoted(type) + " is not 'pci'");
        const auto guest = document_.place(address);
        if (guest.domain != 0 || guest.bus != 0)
            throw document_
                .refuse(address,
                        "guest address " + guest.text() + " is not on the root bus, 0000:00")
                .remedy("leave the address out, or write domain='0' and bus='0'");
        if (guest.slot == 0)
            throw document_.refuse(address, "slot 0 of the root bus is the machine's own");
        hostdev.multifunction = Document::value(address, "multifunction") == "on";
        hostdev.guest = guest;
    }

    /// A host device, and a guest's function, can be had once.
    void require_once(const pugi::xml_node& node, const Hostdev& hostdev) {
        if (!sources_.insert(hostdev.sysfsdev()).second)
            throw document_.refuse(node, hostdev.name() + " is in the domain already");
        if (hostdev.guest && !guests_.insert(hostdev.guest->text()).second)
            throw document_.refuse(node, "guest address " + hostdev.guest->text() +
                                             " is another device's already");
    }

    void note_other_devices(const pugi::xml_node& devices) {
        std::map<std::string, int> others;
        for (const auto& device : devices.children())
            if (const std::string name = device.name();
                device.type() == pugi::node_element && name != "hostdev" && name != "emulator" &&
                name != "memballoon" && name != "controller")
                ++others[name];
        for (const auto& [name, count] : others)
            domain_.notes.push_back(std::to_string(count) + " <" + name + ">" +
                                    " left out: not VFIO's");
    }

    Document document_;
    Domain domain_;
    std::set<std::string> sources_, guests_;
};

} // namespace

Domain read_domain(std::string_view xml) {
    return Reader(xml).read();
}

bool is_document_of(std::string_view xml, std::string_view root) {
    try {
        return Document(xml).root().name() == root;
    } catch (const Failure&) {
        return false;
    }
}

} // namespace kata_vfio::qemu::domain_xml
