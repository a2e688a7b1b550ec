// SPDX-License-Identifier: Apache-2.0
#include "config/base/utf8.hpp"

namespace kata_vfio {
namespace {

/// The length of the valid sequence at the beginning (RFC 3629, section 4), 0 when there is none.
std::size_t sequence(std::string_view text) {
    const auto byte = [&](std::size_t i) {
        return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
    };
    const auto within = [&](std::size_t i, unsigned low, unsigned high) {
        return byte(i) >= low && byte(i) <= high;
    };
    const unsigned first = byte(0);
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first <= 0xdf)
        return within(1, 0x80, 0xbf) ? 2 : 0;
    if (first >= 0xe0 && first <= 0xef) {
        const unsigned low = first == 0xe0 ? 0xa0 : 0x80, high = first == 0xed ? 0x9f : 0xbf;
        return within(1, low, high) && within(2, 0x80, 0xbf) ? 3 : 0;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        const unsigned low = first == 0xf0 ? 0x90 : 0x80, high = first == 0xf4 ? 0x8f : 0xbf;
        return within(1, low, high) && within(2, 0x80, 0xbf) && within(3, 0x80, 0xbf) ? 4 : 0;
    }
    return 0;
}

} // namespace

std::string valid_utf8(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size();) {
        const auto length = sequence(text.substr(i));
        if (length == 0)
            out += "\xef\xbf\xbd";
        else
            out.append(text, i, length);
        i += length == 0 ? 1 : length;
    }
    return out;
}

std::size_t valid_utf8_length(std::string_view text) noexcept {
    std::size_t valid = 0;
    while (valid < text.size()) {
        const auto length = sequence(text.substr(valid));
        if (length == 0)
            break;
        valid += length;
    }
    return valid;
}

} // namespace kata_vfio
