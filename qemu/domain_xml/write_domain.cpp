// SPDX-License-Identifier: Apache-2.0
#include "qemu/domain_xml/domain.hpp"

#include "config/base/xml_text.hpp"

#include <cstdio>

namespace kata_vfio::qemu::domain_xml {
namespace {

std::string attributes(const PciPlace& place) {
    char out[96];
    std::snprintf(out, sizeof out, "domain='0x%04x' bus='0x%02x' slot='0x%02x' function='0x%x'",
                  place.domain, place.bus, place.slot, place.function);
    return out;
}

std::string element(const std::string& indent, const std::string& name, const std::string& text) {
    return indent + "<" + name + ">" + xml_escaped(text) + "</" + name + ">\n";
}

std::string hostdev_xml(const Hostdev& hostdev) {
    std::string out;
    if (hostdev.kind == Hostdev::Kind::mdev)
        // display='off' is what libvirt makes of nothing, and QEMU too.
        out = "    <hostdev mode='subsystem' type='mdev' model='vfio-pci' display='off'>\n"
              "      <source>\n        <address uuid='" +
              xml_escaped(hostdev.uuid) + "'/>\n      </source>\n";
    else
        // The driver is named: without it libvirt writes no command line (see for_any_host()).
        out = std::string("    <hostdev mode='subsystem' type='pci' managed='") +
              (hostdev.managed ? "yes" : "no") +
              "'>\n      <driver name='vfio'/>\n      <source>\n        <address " +
              attributes(hostdev.host) + "/>\n      </source>\n";
    if (!hostdev.id.empty())
        out += "      <alias name='ua-" + xml_escaped(hostdev.id) + "'/>\n";
    if (hostdev.guest)
        out += "      <address type='pci' " + attributes(*hostdev.guest) +
               (hostdev.multifunction ? " multifunction='on'" : "") + "/>\n";
    return out + "    </hostdev>\n";
}

} // namespace

std::string write_domain(const Domain& domain) {
    std::string out = std::string("<domain type='") + (domain.kvm ? "kvm" : "qemu") + "'>\n" +
                      element("  ", "name", domain.name);
    if (!domain.uuid.empty())
        out += element("  ", "uuid", domain.uuid);
    out += "  <memory unit='KiB'>" + std::to_string(domain.memory_kib) + "</memory>\n" +
           "  <vcpu>" + std::to_string(domain.vcpus) + "</vcpu>\n" +
           "  <os>\n    <type arch='x86_64' machine='" + xml_escaped(domain.machine) +
           "'>hvm</type>\n  </os>\n"
           // Without ACPI a guest neither sees a hot-plugged device nor lets one go.
           "  <features>\n    <acpi/>\n  </features>\n"
           "  <devices>\n";
    if (!domain.emulator.empty())
        out += element("    ", "emulator", domain.emulator);
    out += "    <controller type='usb' model='none'/>\n";
    for (const auto& hostdev : domain.hostdevs)
        out += hostdev_xml(hostdev);
    return out + "    <memballoon model='none'/>\n  </devices>\n</domain>\n";
}

} // namespace kata_vfio::qemu::domain_xml
