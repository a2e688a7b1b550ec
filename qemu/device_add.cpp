// SPDX-License-Identifier: Apache-2.0
#include "qemu/device_add.hpp"

#include "config/base/failure.hpp"
#include "config/base/text.hpp"

#include <algorithm>

namespace kata_vfio::qemu {
namespace {

constexpr bool is_letter(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

constexpr bool is_digit(char c) noexcept {
    return c >= '0' && c <= '9';
}

constexpr bool is_hex(char c) noexcept {
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

} // namespace

bool is_device_id(std::string_view id) noexcept {
    return !id.empty() && is_letter(id.front()) && std::all_of(id.begin(), id.end(), [](char c) {
        return is_letter(c) || is_digit(c) || c == '.' || c == '_' || c == '-';
    });
}

std::optional<SlotFunction> parse_addr(std::string_view addr) noexcept {
    SlotFunction out;
    const auto dot = addr.find('.');
    const auto slot = addr.substr(0, dot);
    if (slot.empty() || slot.size() > 2 || !std::all_of(slot.begin(), slot.end(), is_hex))
        return std::nullopt;
    for (const char c : slot)
        out.slot =
            out.slot * 16 + static_cast<unsigned>(is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
    if (dot != std::string_view::npos) {
        const auto function = addr.substr(dot + 1);
        if (function.size() != 1 || function[0] < '0' || function[0] > '7')
            return std::nullopt;
        out.function = static_cast<unsigned>(function[0] - '0');
    }
    if (out.slot > 31)
        return std::nullopt;
    return out;
}

boost::json::object encode_device_add(const VfioDevice& device) {
    if (!is_device_id(device.id))
        throw Failure(Errc::invalid_argument,
                      "device id " + quoted(device.id) + " is not [A-Za-z][A-Za-z0-9._-]*");
    if (device.addr && !parse_addr(*device.addr))
        throw Failure(Errc::invalid_argument,
                      "addr " + quoted(*device.addr) +
                          " is not a hexadecimal slot 00-1f with an optional function .0-.7");
    if (device.display && *device.display != "on" && *device.display != "off" &&
        *device.display != "auto")
        throw Failure(Errc::invalid_argument,
                      "display " + quoted(*device.display) + " is not on, off or auto");
    if (device.driver == "vfio-pci" && device.sysfsdev.empty())
        throw Failure(Errc::invalid_argument, "vfio-pci device " + device.id + " has no sysfsdev");

    boost::json::object out;
    out["driver"] = device.driver;
    out["id"] = device.id;
    out["bus"] = device.bus;
    if (device.addr)
        out["addr"] = *device.addr;
    if (!device.sysfsdev.empty())
        out["sysfsdev"] = device.sysfsdev;
    if (device.multifunction)
        out["multifunction"] = *device.multifunction;
    if (device.rombar)
        out["rombar"] = *device.rombar;
    if (device.romfile)
        out["romfile"] = *device.romfile;
    if (device.display)
        out["display"] = *device.display;
    if (device.iommufd)
        out["iommufd"] = *device.iommufd;
    return out;
}

} // namespace kata_vfio::qemu
