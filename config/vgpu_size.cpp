// SPDX-License-Identifier: Apache-2.0
#include "config/vgpu_size.hpp"

#include "config/base/text.hpp"

#include <charconv>

namespace kata_vfio::config {
namespace {

std::optional<std::uint64_t> number(std::string_view text, std::uint64_t most) {
    std::uint64_t value = 0;
    const auto* end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, value);
    if (read.ec != std::errc() || read.ptr != end || value == 0 || value > most)
        return std::nullopt;
    return value;
}

} // namespace

std::optional<std::uint64_t> megabytes(std::string_view text) {
    constexpr std::uint64_t most = std::uint64_t{1} << 30; // a PB: far beyond any GPU, and no wrap
    std::uint64_t factor = 1;
    if (text.ends_with("GB"))
        factor = 1024;
    else if (!text.ends_with("MB"))
        return std::nullopt;
    const auto count = number(trim(text.substr(0, text.size() - 2)), most / factor);
    return count ? std::optional(*count * factor) : std::nullopt;
}

std::optional<Resolution> parse_resolution(std::string_view text) {
    const auto x = text.find('x');
    if (x == text.npos)
        return std::nullopt;
    const auto width = number(text.substr(0, x), 65535), height = number(text.substr(x + 1), 65535);
    if (!width || !height)
        return std::nullopt;
    return Resolution{static_cast<std::uint32_t>(*width), static_cast<std::uint32_t>(*height)};
}

} // namespace kata_vfio::config
