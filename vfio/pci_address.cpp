// SPDX-License-Identifier: Apache-2.0
#include "vfio/pci_address.hpp"

#include "config/base/failure.hpp"
#include "config/base/text.hpp"

#include <charconv>
#include <cstdio>

namespace kata_vfio::vfio {
namespace {

std::optional<std::uint32_t> hex(std::string_view text, std::size_t least, std::size_t most) {
    if (text.size() < least || text.size() > most)
        return std::nullopt;
    std::uint32_t value = 0;
    const auto* end = text.data() + text.size();
    const auto result = std::from_chars(text.data(), end, value, 16);
    if (result.ec != std::errc() || result.ptr != end)
        return std::nullopt;
    return value;
}

} // namespace

std::optional<PciAddress> PciAddress::parse(std::string_view text) noexcept {
    const auto first = text.find(':');
    const auto second = text.find(':', first + 1);
    const auto dot = text.find('.', second + 1);
    if (first == text.npos || second == text.npos || dot == text.npos)
        return std::nullopt;
    const auto domain = hex(text.substr(0, first), 4, 8);
    const auto bus = hex(text.substr(first + 1, second - first - 1), 2, 2);
    const auto device = hex(text.substr(second + 1, dot - second - 1), 2, 2);
    const auto function = hex(text.substr(dot + 1), 1, 1);
    if (!domain || !bus || !device || !function || *device > 31 || *function > 7)
        return std::nullopt;
    return PciAddress{*domain, static_cast<std::uint8_t>(*bus), static_cast<std::uint8_t>(*device),
                      static_cast<std::uint8_t>(*function)};
}

PciAddress PciAddress::require(std::string_view text) {
    if (const auto address = parse(text))
        return *address;
    Failure failure(Errc::malformed_address, quoted(text) + " is not a PCI address");
    if (parse("0000:" + std::string(text)))
        failure.remedy("put the domain in front: 0000:" + std::string(text));
    else
        failure.remedy("write it as lspci -D does: DDDD:BB:DD.F in hex, device up to 1f, "
                       "function up to 7, e.g. 0000:00:02.0");
    throw failure;
}

std::string PciAddress::text() const {
    char buffer[32];
    const int n =
        std::snprintf(buffer, sizeof buffer, "%04x:%02x:%02x.%x", domain, bus, device, function);
    return std::string(buffer, static_cast<std::size_t>(n));
}

} // namespace kata_vfio::vfio
