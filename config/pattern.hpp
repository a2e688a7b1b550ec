// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace kata_vfio::config {

/// Why `pattern` is no regular expression (ECMAScript's grammar, the nearest to Go's that C++ has);
/// "" when it is one.
std::string regex_problem(const std::string& pattern);

/// Whether `text` as a whole matches; `pattern` must be one that regex_problem() finds no fault
/// with. The matcher recurses per character: the caller bounds the length.
bool matches_whole(const std::string& pattern, const std::string& text);

} // namespace kata_vfio::config
