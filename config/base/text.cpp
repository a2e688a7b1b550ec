// SPDX-License-Identifier: Apache-2.0
#include "config/base/text.hpp"

#include <algorithm>

namespace kata_vfio {

std::string_view trim(std::string_view text) noexcept {
    constexpr std::string_view white = " \t\r\n\f\v";
    const auto first = text.find_first_not_of(white);
    if (first == std::string_view::npos)
        return {};
    return text.substr(first, text.find_last_not_of(white) - first + 1);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> pieces;
    for (;;) {
        const auto at = text.find(separator);
        pieces.push_back(text.substr(0, at));
        if (at == std::string_view::npos)
            return pieces;
        text.remove_prefix(at + 1);
    }
}

std::vector<std::string_view> words(std::string_view line) {
    auto all = split(line, ' ');
    std::erase_if(all, [](auto word) { return word.empty(); });
    return all;
}

std::string join_words(const std::vector<std::string>& words, std::string_view last) {
    std::string text;
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (i > 0)
            text += i + 1 == words.size() ? last : std::string_view(", ");
        text += words[i];
    }
    return text;
}

std::string quoted(std::string_view text, std::size_t limit) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string out = "'";
    for (const char c : text.substr(0, limit)) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte < 0x7f) {
            out += c;
        } else {
            out += "\\x";
            out += digits[byte >> 4];
            out += digits[byte & 15];
        }
    }
    if (text.size() > limit)
        out += "...";
    return out + "'";
}

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
    std::string best;
    std::size_t best_distance = SIZE_MAX;
    for (const auto& candidate : candidates) {
        const auto n = word.size(), m = candidate.size();
        // At least as far apart as their lengths: a megabyte of a word is not even looked at.
        if ((std::max(n, m) - std::min(n, m)) * 3 > std::max(n, m))
            continue;
        std::vector<std::vector<std::size_t>> d(n + 1, std::vector<std::size_t>(m + 1));
        for (std::size_t i = 0; i <= n; ++i)
            d[i][0] = i;
        for (std::size_t j = 0; j <= m; ++j)
            d[0][j] = j;
        for (std::size_t i = 1; i <= n; ++i)
            for (std::size_t j = 1; j <= m; ++j) {
                const std::size_t change = word[i - 1] == candidate[j - 1] ? 0 : 1;
                d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + change});
                if (i > 1 && j > 1 && word[i - 1] == candidate[j - 2] &&
                    word[i - 2] == candidate[j - 1])
                    d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
            }
        if (d[n][m] < best_distance && d[n][m] * 3 <= std::max(n, m)) {
            best_distance = d[n][m];
            best = candidate;
        }
    }
    return best;
}

} // namespace kata_vfio
