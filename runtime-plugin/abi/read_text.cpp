// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/abi/read_text.hpp"

#include "config/base/failure.hpp"

namespace kata_vfio::abi {
namespace {

constexpr std::size_t longest = 65536;

/// RFC 3629: no overlong form, no surrogate, nothing above U+10FFFF.
bool is_utf8(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        const auto lead = static_cast<unsigned char>(text[i]);
        const std::size_t length = lead < 0x80   ? 1
                                   : lead < 0xc2 ? 0
                                   : lead < 0xe0 ? 2
                                   : lead < 0xf0 ? 3
                                   : lead < 0xf5 ? 4
                                                 : 0;
        if (length == 0 || i + length > text.size())
            return false;
        char32_t point = length == 1 ? lead : lead & (0xffu >> (length + 1));
        for (std::size_t k = 1; k < length; ++k) {
            const auto next = static_cast<unsigned char>(text[i + k]);
            if ((next & 0xc0) != 0x80)
                return false;
            point = point << 6 | (next & 0x3fu);
        }
        constexpr char32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
        if (point < least[length] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
            return false;
        i += length;
    }
    return true;
}

} // namespace

std::string read_text(kata_vfio_str_t given, std::string_view what) {
    if (!given.ptr && given.len > 0)
        throw Failure(Errc::invalid_argument, std::string(what) + " is NULL with a length");
    if (given.len > longest)
        throw Failure(Errc::invalid_argument, std::string(what) + " is longer than 64 KiB");
    std::string text = given.len ? std::string(given.ptr, given.len) : std::string();
    if (!is_utf8(text))
        throw Failure(Errc::invalid_argument, std::string(what) + " is not UTF-8");
    return text;
}

} // namespace kata_vfio::abi
