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
namespace {

// libstdc++'s compiler recurses per parenthesis: some ten thousand of them are the end of the
// stack.
constexpr std::size_t longest_pattern = 512;

// As Go's, this matcher does not backtrack: "([a-z]+)*_" would take 2^128 steps for a pod's name of
// 128 letters. The price is the same as Go's too, no back-references.
constexpr auto grammar = std::regex::ECMAScript | std::regex_constants::__polynomial;

} // namespace

std::string regex_problem(const std::string& pattern) {
    if (pattern.size() > longest_pattern)
        return kata_vfio::quoted(pattern) + " is longer than the " +
               std::to_string(longest_pattern) + " bytes a regular expression may have";
    try {
        const std::regex compiled(pattern, grammar);
        return {};
    } catch (const std::regex_error& error) {
        return kata_vfio::quoted(pattern) + " is no regular expression: " + error.what();
    }
}

bool matches_whole(const std::string& pattern, const std::string& text) {
    return std::regex_match(text, std::regex(pattern, grammar));
}

} // namespace kata_vfio::config
