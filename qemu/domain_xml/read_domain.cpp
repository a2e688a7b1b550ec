// SPDX-License-Identifier: Apache-2.0
#include "config/base/text.hpp"
#include "qemu/domain_xml/document.hpp"
#include "qemu/machine.hpp"

#include <algorithm>
#include <cstdint>
#include <initializer_list>
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
            throw document_.refuse(root, "this is no domain XML")
                .remedy("virsh dumpxml and kata-vfio xml export write it");
        const auto type = Document::value(root, "type");
        if (type != "kvm" && type != "qemu")
            throw document_.refuse(root, "type " + quoted(type) + " is neither 'kvm' nor 'qemu'")
                .remedy("VFIO devices are plugged into QEMU's guests alone");
        domain_.kvm = type == "kvm";
        domain_.name = Document::text(document_.child(root, "name"));
        domain_.uuid = Document::text(document_.child(root, "uuid"));
        read_machine(root);
        read_sizes(root);
        note_rest(root);
        const auto devices = document_.child(root, "devices");
        const auto emulator = document_.child(devices, "emulator");
        domain_.emulator = Document::text(emulator);
        if (!domain_.emulator.empty() && !domain_.emulator.starts_with('/'))
            throw document_.refuse(emulator, quoted(domain_.emulator) + " is no absolute path")
                .remedy("write the whole path, or leave <emulator> out");
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
        const auto os = document_.child(root, "os");
        const auto type = document_.child(os, "type");
        if (!type)
            throw document_.refuse(root, "it has no <os><type machine='...'>")
                .remedy("write <os><type arch='x86_64' machine='pc'>hvm</type></os>");
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
        if (const auto others = others_of(os, {"type", "boot"}); !others.empty())
            note(os, others +
                         " of <os> left out: firmware, kernel, initrd and kernel_params of the "
                         "configuration are for that");
    }

    std::uint64_t read_memory(const pugi::xml_node& memory) {
        const auto unit = unit_bytes(Document::value(memory, "unit"));
        if (unit == 0)
            throw document_
                .refuse(memory,
                        "unit " + quoted(Document::value(memory, "unit")) + " is none of libvirt's")
                .remedy("write KiB, MiB or GiB, or none for KiB");
        // What default_memory takes, and nothing below overflows.
        constexpr auto most = std::uint64_t{INT32_MAX} << 20;
        return (document_.number(memory, Document::text(memory), "the size", most / unit) * unit +
                1023) /
               1024;
    }

    void read_sizes(const pugi::xml_node& root) {
        if (const auto memory = document_.child(root, "memory")) {
            domain_.memory_kib = read_memory(memory);
        }
        if (const auto current = document_.child(root, "currentMemory");
            current && read_memory(current) != domain_.memory_kib)
            note(
                current,
                "<currentMemory> left out: VFIO pins all of the guest's memory, and it has it all");
        const auto vcpu = document_.child(root, "vcpu");
        if (vcpu)
            domain_.vcpus = document_.number(vcpu, Document::text(vcpu), "the count", 4096);
        if (domain_.vcpus == 0)
            throw document_.refuse(vcpu, "a guest has one CPU at least")
                .remedy("write how many, or leave <vcpu> out");
        if (const auto current = Document::value(vcpu, "current");
            !current.empty() && current != Document::text(vcpu))
            note(vcpu, "current=" + quoted(current) + " left out: the guest starts with all " +
                           std::to_string(domain_.vcpus));
    }

    void read_hostdev(const pugi::xml_node& node) {
        const auto mode = Document::value(node, "mode");
        const auto type = Document::value(node, "type");
        if (!mode.empty() && mode != "subsystem")
            throw document_.refuse(node, "mode " + quoted(mode) + " is not 'subsystem'")
                .remedy("VFIO's devices are mode='subsystem'");
        if (type != "pci" && type != "mdev")
            throw document_.refuse(node, "type " + quoted(type) + " is no VFIO device")
                .remedy("pci and mdev are");
        Hostdev hostdev;
        hostdev.line = document_.line_of(node);
        hostdev.kind = type == "pci" ? Hostdev::Kind::pci : Hostdev::Kind::mdev;
        const auto outer = document_.child(node, "source");
        const auto source = document_.child(outer, "address");
        if (!source)
            throw document_.refuse(node, "it has no <source><address .../>")
                .remedy(hostdev.kind == Hostdev::Kind::pci
                            ? "write where it is on the host: <address domain='0' bus='0' slot='2' "
                              "function='0'/>"
                            : "write which vGPU it is: <address uuid='...'/>");
        if (const auto rom = node.child("rom"))
            throw document_.refuse(rom, "an attach has no option for a ROM")
                .remedy("leave <rom> out");
        if (hostdev.kind == Hostdev::Kind::pci)
            read_pci(node, source, hostdev);
        else
            read_mdev(node, source, hostdev);
        const auto alias = Document::value(document_.child(node, "alias"), "name");
        // hostdev0 and the like are libvirt's own numbering, not a name that somebody gave.
        if (alias.starts_with("ua-") && is_device_id(alias.substr(3)))
            hostdev.id = alias.substr(3);
        read_guest(node, hostdev);
        if (node.child("boot"))
            note(node.child("boot"),
                 "boot order is not for a device that is hot-plugged: left out");
        if (const auto others =
                others_of(node, {"source", "alias", "address", "driver", "rom", "teaming", "boot"});
            !others.empty())
            note(node, others + " of <hostdev> left out: an attach has nothing of the kind");
        note_attributes(node, {"mode", "type", "managed", "model", "display", "ramfb"});
        note_attributes(outer, {});
        note_attributes(node.child("driver"), {"name", "model"});
        require_once(node, hostdev);
        domain_.hostdevs.push_back(std::move(hostdev));
    }

    void read_pci(const pugi::xml_node& node, const pugi::xml_node& source, Hostdev& hostdev) {
        const auto driver = document_.child(node, "driver");
        const auto backend = Document::value(driver, "name");
        if (!backend.empty() && backend != "vfio")
            throw document_.refuse(driver, "name " + quoted(backend) + " is not 'vfio'")
                .remedy("write name='vfio', or leave it out");
        if (const auto model = Document::value(driver, "model");
            !model.empty() && model != "vfio-pci")
            throw document_.refuse(driver, "model " + quoted(model) + " is not 'vfio-pci'")
                .remedy("bind the function to it by hand, and leave model out");
        if (const auto teaming = node.child("teaming"))
            throw document_.refuse(teaming, "failover is for network devices")
                .remedy("leave <teaming> out");
        hostdev.host = document_.place(source);
        hostdev.managed = document_.flag(node, "managed", "yes", "no"); // libvirt's default is no
        if (!hostdev.managed)
            note(node, hostdev.name() + " is not managed: an attach binds it to vfio-pci all the "
                                        "same, if it is not, and gives it back");
    }

    void read_mdev(const pugi::xml_node& node, const pugi::xml_node& source, Hostdev& hostdev) {
        const auto model = Document::value(node, "model");
        if (model != "vfio-pci")
            throw document_.refuse(node, "model " + quoted(model) + " is not 'vfio-pci'")
                .remedy("only a vGPU of that model has a PCI slot");
        for (const auto* option : {"display", "ramfb"})
            if (const auto wish = Document::value(node, option); !wish.empty() && wish != "off")
                throw document_
                    .refuse(node, std::string(option) + "=" + quoted(wish) +
                                      " is only for a device that QEMU starts with")
                    .remedy(std::string("leave ") + option + " out");
        hostdev.uuid = Document::value(source, "uuid");
        if (hostdev.uuid.empty())
            throw document_.refuse(source, "it has no uuid")
                .remedy("kata-vfio vgpus lists the UUIDs there are");
    }

    void read_guest(const pugi::xml_node& node, Hostdev& hostdev) {
        const auto address = document_.child(node, "address");
        if (!address)
            return;
        const auto type = Document::value(address, "type");
        if (type != "pci")
            throw document_.refuse(address, "type " + quoted(type) + " is not 'pci'")
                .remedy("write type='pci', or leave the address out");
        const auto guest = document_.place(address);
        if (guest.domain != 0 || guest.bus != 0)
            throw document_
                .refuse(address,
                        "guest address " + guest.text() + " is not on the root bus, 0000:00")
                .remedy("leave the address out, or write domain='0' and bus='0'");
        if (guest.slot == 0)
            throw document_.refuse(address, "slot 0 of the root bus is the machine's own")
                .remedy("write a slot from 1 to 31, or leave the address out");
        hostdev.multifunction = document_.flag(address, "multifunction", "on", "off");
        hostdev.guest = guest;
    }

    /// A host device, and a guest's function, can be had once.
    void require_once(const pugi::xml_node& node, const Hostdev& hostdev) {
        if (!sources_.insert(hostdev.sysfsdev()).second)
            throw document_.refuse(node, hostdev.name() + " is in the domain already")
                .remedy("leave one of them");
        if (hostdev.guest && !guests_.insert(hostdev.guest->text()).second)
            throw document_
                .refuse(node,
                        "guest address " + hostdev.guest->text() + " is another device's already")
                .remedy("give one of them another slot, or leave its address out");
    }

    /// "<clock>, <cpu>": the elements below it of other names than these; "" when there are none.
    static std::string others_of(const pugi::xml_node& node,
                                 std::initializer_list<std::string_view> known) {
        std::set<std::string> others;
        for (const auto& child : node.children())
            if (child.type() == pugi::node_element &&
                std::find(known.begin(), known.end(), child.name()) == known.end())
                others.insert(child.name());
        std::string text;
        for (const auto& name : others)
            text += (text.empty() ? "<" : ", <") + name + ">";
        return text;
    }

    void note_attributes(const pugi::xml_node& node,
                         std::initializer_list<std::string_view> known) {
        for (const auto& attribute : node.attributes())
            if (std::find(known.begin(), known.end(), attribute.name()) == known.end())
                note(node, std::string(attribute.name()) + " of <" + node.name() +
                               "> left out: an attach has nothing of the kind");
    }

    /// What stands beside <devices>. With a prefix it is another namespace's: QEMU's own arguments.
    void note_rest(const pugi::xml_node& root) {
        for (const auto& child : root.children())
            if (std::string_view(child.name()).ends_with(":commandline"))
                note(child, std::string("<") + child.name() +
                                "> left out: devices that it gives QEMU are not looked at");
        if (const auto others = others_of(root, {"name", "uuid", "memory", "currentMemory", "vcpu",
                                                 "os", "devices", "features", "title",
                                                 "description", "metadata", "qemu:commandline"});
            !others.empty())
            domain_.notes.push_back(others + " left out: nothing of a configuration.toml's");
    }

    /// Devices on VFIO that libvirt has below other names.
    void read_other(const pugi::xml_node& device) {
        const std::string name = device.name();
        const auto type = Document::value(device, "type");
        if (name == "interface" && type == "hostdev")
            throw document_
                .refuse(device, "type 'hostdev' is a VFIO device with a MAC address and "
                                "a VLAN, which an attach does not set")
                .remedy(
                    "write it as <hostdev type='pci'>, and set them on the host (ip link set PF "
                    "vf N mac ...)");
        if (name == "disk" && type == "nvme")
            note(device, "<disk> of type 'nvme' left out: QEMU itself drives it, on VFIO");
        else
            ++others_[name];
    }

    void note_other_devices(const pugi::xml_node& devices) {
        for (const auto& device : devices.children())
            if (const std::string name = device.name();
                device.type() == pugi::node_element && name != "hostdev" && name != "emulator" &&
                name != "memballoon" && name != "controller")
                read_other(device);
        for (const auto& [name, count] : others_)
            domain_.notes.push_back(std::to_string(count) + " <" + name + ">" +
                                    " left out: not VFIO's");
    }

    Document document_;
    Domain domain_;
    std::set<std::string> sources_, guests_;
    std::map<std::string, int> others_; ///< how many devices of a name that are not VFIO's
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
