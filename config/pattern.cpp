// SPDX-License-Identifier: Apache-2.0
// g++ 12 with -fsanitize=address takes libstdc++'s own <regex> for a use of uninitialised memory
// (GCC bug 105562), which -Werror would make fatal; so <regex> is included here alone.
#ifndef __clang__ // which does not know the warning
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include "config/pattern.hpp"

#include "config/base/text.hpp"

#include <regex>

namespace kata_vfio::config {

std::string regex_problem(const std::string& pattern) {
    try {
        const std::regex compiled(pattern, std::regex::ECMAScript);
        return {};
    } catch (const std::regex_error& error) {
        return kata_vfio::quoted(pattern) + " is no regular expression: " + error.what();
    }
}

bool matches_whole(const std::string& pattern, const std::string& text) {
    return std::regex_match(text, std::regex(pattern, std::regex::ECMAScript));
}

} // namespace kata_vfio::config
