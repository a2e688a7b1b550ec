// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kata_vfio::vfio {

/// A PCI function's address on the host or in the guest, "DDDD:BB:DD.F" (BDF for short).
/// Domain is 16 bits wide as in `lspci -D`; domains above ffff (Intel VMD) have 5 digits in sysfs
/// and are taken too. Source: kernel Documentation/PCI, pci_name().
struct PciAddress {
    std::uint32_t domain = 0;
    std::uint8_t bus = 0;
    std::uint8_t device = 0;   ///< 0-31
    std::uint8_t function = 0; ///< 0-7

    /// Strict: exactly the lower-case or upper-case hex form with domain; nothing before or after.
    static std::optional<PciAddress> parse(std::string_view text) noexcept;

    /// As parse(), but throws Failure(malformed_address) that says what is wrong with `text`
    /// (domain missing, device above 1f, ...).
    static PciAddress require(std::string_view text);

    /// "0000:00:02.0", lower case, as sysfs names the function.
    std::string text() const;

    auto operator<=>(const PciAddress&) const = default;
};

} // namespace kata_vfio::vfio
