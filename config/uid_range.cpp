// SPDX-License-Identifier: Apache-2.0
#include "config/uid_range.hpp"

#include <charconv>

namespace kata_vfio::config {
namespace {

std::optional<std::uint32_t> number(std::string_view text) noexcept {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size())
        return std::nullopt;
    return value;
}

} // namespace

std::optional<UidRange> parse_uid_range(std::string_view text) noexcept {
    const auto hyphen = text.find('-');
    if (hyphen == text.npos)
        return std::nullopt;
    const auto first = number(text.substr(0, hyphen)), last = number(text.substr(hyphen + 1));
    if (!first || !last || *first == 0 || *last < *first || *last == UINT32_MAX)
        return std::nullopt;
    return UidRange{*first, *last};
}

} // namespace kata_vfio::config
