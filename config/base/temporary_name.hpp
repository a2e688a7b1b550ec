// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace kata_vfio {

/// What write_atomically() puts behind a file's name for the temporary one beside it; mkostemp()
/// puts letters and digits in the place of each X.
inline constexpr std::string_view temporary_suffix = ".XXXXXX";

/// Whether `name` is that of such a file, of a file `target` (names both, without a directory). One
/// that is found at rest is of a process that was killed.
bool is_temporary_of(std::string_view name, std::string_view target);

} // namespace kata_vfio
