// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace kata_vfio::config {

struct UidRange {
    std::uint32_t first = 0, last = 0; ///< both belong to it

    std::uint64_t size() const noexcept { return std::uint64_t{last} - first + 1; }
    bool operator==(const UidRange&) const = default;
};

/// "FIRST-LAST" in decimal. nullopt: malformed, empty, or with 0 (root) or what setresuid(2) does
/// not take for a user (2^32 - 1) in it.
std::optional<UidRange> parse_uid_range(std::string_view text) noexcept;

} // namespace kata_vfio::config
