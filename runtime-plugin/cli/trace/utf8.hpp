// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace kata_vfio::cli {

/// The text with each byte that is part of no valid UTF-8 sequence as U+FFFD: what is no JSON on
/// the wire may be any bytes, and ours must be JSON.
std::string valid_utf8(std::string_view text);

} // namespace kata_vfio::cli
