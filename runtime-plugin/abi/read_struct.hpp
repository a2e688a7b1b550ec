// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace kata_vfio::abi {

/// Copies a size-prefixed struct of the caller's, which may be older (shorter: the rest is zero) or
/// younger (longer: what we don't know must be zero, else the caller asks for something we would
/// silently not do). Throws Failure(abi_mismatch, invalid_argument).
template <class T>
T read_struct(const T* given, std::string_view what, std::size_t least) {
    if (!given)
        throw Failure(Errc::invalid_argument, std::string(what) + " is NULL");
    const std::size_t size = given->struct_size;
    if (size < least || size > 4096)
        throw Failure(Errc::abi_mismatch,
                      std::string(what) + " says its size is " + std::to_string(size) + " bytes")
            .remedy("fill struct_size with sizeof, as KATA_VFIO_INIT does");
    const auto* bytes = reinterpret_cast<const unsigned char*>(given);
    for (std::size_t i = sizeof(T); i < size; ++i)
        if (bytes[i] != 0)
            throw Failure(Errc::abi_mismatch,
                          std::string(what) + " uses a member this plugin does not know")
                .remedy("install a plugin as new as the header the host was built with");
    T copy{};
    std::memcpy(&copy, given, std::min(size, sizeof(T)));
    return copy;
}

inline void require_zero(std::uint32_t reserved, std::string_view what) {
    if (reserved != 0)
        throw Failure(Errc::abi_mismatch, std::string(what) + " must be zero");
}

} // namespace kata_vfio::abi
