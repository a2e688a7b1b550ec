// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/abi/kata_vfio.h"

#include <string>
#include <string_view>

namespace kata_vfio::abi {

/// Copies a string of the caller's. Throws Failure(invalid_argument): NULL with a length, longer
/// than 64 KiB, not UTF-8. The last because texts are remembered in JSON: a byte that is none would
/// make the state unreadable for every later call.
std::string read_text(kata_vfio_str_t given, std::string_view what);

} // namespace kata_vfio::abi
