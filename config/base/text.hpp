// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio {

/// Without the white space (and the newline sysfs ends its values with) at both ends.
std::string_view trim(std::string_view text) noexcept;

/// The pieces between `separator`; empty pieces are kept, so "a,,b" gives three.
std::vector<std::string_view> split(std::string_view text, char separator);

/// What stands between the spaces of a line; none of them is empty.
std::vector<std::string_view> words(std::string_view line);

/// "a, b and c" for a sentence; "" when empty.
std::string join_words(const std::vector<std::string>& words, std::string_view last = " and ");

/// `text` in single quotes with every byte that is not printable ASCII as \xNN, cut after `limit`
/// bytes: foreign input in a message must not be able to forge a line or fill a terminal.
std::string quoted(std::string_view text, std::size_t limit = 120);
/// For std::string, whose namespace would otherwise bring std::quoted in as the better match.
inline std::string quoted(const std::string& text, std::size_t limit = 120) {
    return quoted(std::string_view(text), limit);
}
inline std::string quoted(std::string& text, std::size_t limit = 120) {
    return quoted(std::string_view(text), limit);
}

/// The candidate that was probably meant: the nearest by Damerau-Levenshtein distance, if that is
/// at most a third of the longer one's length; "" when none is near.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

} // namespace kata_vfio
