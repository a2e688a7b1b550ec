// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/json/value.hpp>

#include <string>
#include <string_view>

namespace kata_vfio::qemu {

/// The next character of `text`, which must not be empty, taken off its front; -1 for a sequence
/// that is none, of which as much is taken as QEMU takes. What QEMU calls modified UTF-8: C0 80 is
/// U+0000, and surrogates and non-characters are refused.
int take_utf8(std::string_view& text) noexcept;

/// U+FDD0 to U+FDEF, the last two of each plane, surrogates and above U+10FFFF are no characters.
bool is_unicode_character(int code) noexcept;

void append_utf8(std::string& out, int code);

/// In double quotes, ASCII only, as QEMU prints it: \uXXXX with upper-case digits, surrogate pairs
/// beyond the first plane, \uFFFD for what is no character.
void append_qemu_string(std::string& out, std::string_view text);

/// The value as QEMU prints it with pretty=off: `{"a": [1, 2], "b": 0.10000000000000001}`. Numbers
/// that are not finite (no JSON has them) must not be in it.
void append_qemu_json(std::string& out, const boost::json::value& value);

} // namespace kata_vfio::qemu
