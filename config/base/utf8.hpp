// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace kata_vfio {

/// The text with each byte that is part of no valid UTF-8 sequence as U+FFFD: what comes from a
/// wire or a driver may be any bytes, and what we write of it must be JSON or XML.
std::string valid_utf8(std::string_view text);

/// How many bytes at its beginning are valid UTF-8: all of them when it is.
std::size_t valid_utf8_length(std::string_view text) noexcept;

} // namespace kata_vfio
