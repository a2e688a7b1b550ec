// SPDX-License-Identifier: Apache-2.0
#include "qemu/domain_xml/domain.hpp"

#include <cstdio>

namespace kata_vfio::qemu::domain_xml {
namespace {

/// All of `text`, `digits` of them, in hexadecimal.
std::optional<unsigned> hex(std::string_view text, std::size_t digits) noexcept {
    if (text.size() != digits)
        return std::nullopt;
    unsigned value = 0;
    for (const char c : text) {
        const char lower = static_cast<char>(c | 0x20);
        if (c >= '0' && c <= '9')
            value = value * 16 + static_cast<unsigned>(c - '0');
        else if (lower >= 'a' && lower <= 'f')
            value = value * 16 + static_cast<unsigned>(lower - 'a' + 10);
        else
            return std::nullopt;
    }
    return value;
}

/// QEMU's id of the device, as an attach makes it (docs/decisions.md, 7).
std::string default_id(const Hostdev& hostdev) {
    if (hostdev.kind == Hostdev::Kind::mdev)
        return "vfio-" + hostdev.uuid.substr(0, 8);
    auto address = hostdev.host.text();
    for (auto& c : address)
        if (c == ':')
            c = '.';
    return "vfio-" + address;
}

} // namespace

std::optional<PciPlace> PciPlace::parse(std::string_view text) noexcept {
    if (text.size() != 12 || text[4] != ':' || text[7] != ':' || text[10] != '.')
        return std::nullopt;
    const auto domain = hex(text.substr(0, 4), 4), bus = hex(text.substr(5, 2), 2),
               slot = hex(text.substr(8, 2), 2), function = hex(text.substr(11), 1);
    if (!domain || !bus || !slot || !function || *slot > 0x1f || *function > 7)
        return std::nullopt;
    return PciPlace{*domain, *bus, *slot, *function};
}

std::string PciPlace::text() const {
    char out[32];
    std::snprintf(out, sizeof out, "%04x:%02x:%02x.%x", domain, bus, slot, function);
    return out;
}

std::string Hostdev::name() const {
    return kind == Kind::mdev ? "vGPU " + uuid : "function " + host.text();
}

std::string Hostdev::sysfsdev() const {
    return kind == Kind::mdev ? "/sys/bus/mdev/devices/" + uuid
                              : "/sys/bus/pci/devices/" + host.text();
}

VfioDevice vfio_device(const Hostdev& hostdev) {
    VfioDevice device(hostdev.id.empty() ? default_id(hostdev) : hostdev.id, hostdev.sysfsdev());
    if (hostdev.guest) {
        char addr[8];
        std::snprintf(addr, sizeof addr, "%02x.%x", hostdev.guest->slot & 0x1f,
                      hostdev.guest->function & 7);
        device.addr = addr;
    }
    if (hostdev.multifunction)
        device.multifunction = true;
    return device;
}

} // namespace kata_vfio::qemu::domain_xml
