// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace kata_vfio {

/// The text as XML 1.0 character data, or as an attribute's value in quotes of either kind. What
/// XML can't hold (control bytes but tab and newline, U+FFFE, U+FFFF) and what is not UTF-8 becomes
/// U+FFFD: a driver's or a file's name may be any bytes.
std::string xml_escaped(std::string_view text);

} // namespace kata_vfio
