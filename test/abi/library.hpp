// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/abi/kata_vfio.h"

#include <string>
#include <string_view>

namespace kata_vfio::abi_test {

/// The built library, loaded as a host does it: dlopen, the one symbol, the version check. Nothing
/// of the plugin's own is linked into these tests.
const kata_vfio_entry_t& library();

/// The path the library is loaded from.
const char* library_path();

inline kata_vfio_str_t view(std::string_view text) {
    return {text.data(), text.size()};
}
inline std::string copy(kata_vfio_str_t text) {
    return text.len ? std::string(text.ptr, text.len) : std::string();
}

} // namespace kata_vfio::abi_test
