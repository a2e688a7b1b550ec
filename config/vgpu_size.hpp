// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace kata_vfio::config {

/// "128MB" or "1GB" (also "128 MB", as i915 writes its descriptions' numbers without a blank), in
/// MB; nullopt for anything else, 0 included.
std::optional<std::uint64_t> megabytes(std::string_view text);

struct Resolution {
    std::uint32_t width = 0, height = 0;

    /// Both ways at least as large.
    bool covers(const Resolution& wanted) const noexcept {
        return width >= wanted.width && height >= wanted.height;
    }
    std::uint64_t pixels() const noexcept { return std::uint64_t{width} * height; }
    bool operator==(const Resolution&) const = default;
};

/// "1920x1200"; nullopt for anything else, and for a side of 0 or above 65535.
std::optional<Resolution> parse_resolution(std::string_view text);

} // namespace kata_vfio::config
