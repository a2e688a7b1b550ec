// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace kata_vfio {

/// Appends the four bytes of `number`, the most significant first, as network protocols have them.
inline void put_big_endian(std::string& out, std::uint32_t number) {
    for (int shift = 24; shift >= 0; shift -= 8)
        out.push_back(static_cast<char>(number >> shift & 0xff));
}

/// The number whose four bytes begin `at`, which must have them.
inline std::uint32_t take_big_endian(const char* at) {
    std::uint32_t number = 0;
    for (int i = 0; i < 4; ++i)
        number = number << 8 | static_cast<unsigned char>(at[i]);
    return number;
}

} // namespace kata_vfio
