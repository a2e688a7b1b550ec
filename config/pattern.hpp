// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace kata_vfio::config {

/// Why `pattern` is no regular expression (ECMAScript's grammar, the nearest to Go's that C++ has,
/// without back-references, at most 512 bytes); "" when it is one.
std::string regex_problem(const std::string& pattern);

/// Whether `text` as a whole matches; `pattern` must be one that regex_problem() finds no fault
/// with. Takes time proportional to the product of the two lengths; the caller bounds the text's.
bool matches_whole(const std::string& pattern, const std::string& text);

} // namespace kata_vfio::config
