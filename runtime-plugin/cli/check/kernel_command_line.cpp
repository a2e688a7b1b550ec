// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/check/kernel_command_line.hpp"

#include "config/base/text.hpp"

#include <algorithm>
#include <cctype>

namespace kata_vfio::cli {
namespace {

std::vector<std::string> words(std::string_view text) {
    std::vector<std::string> out;
    std::string word;
    bool quoted_part = false, any = false;
    for (const char c : text) {
        if (c == '"') {
            quoted_part = !quoted_part;
            any = true;
        } else if (std::isspace(static_cast<unsigned char>(c)) && !quoted_part) {
            if (any)
                out.push_back(std::exchange(word, {}));
            any = false;
        } else {
            word += c;
            any = true;
        }
    }
    if (any)
        out.push_back(word);
    return out;
}

std::string normal(std::string_view name) {
    std::string out(name);
    std::replace(out.begin(), out.end(), '-', '_');
    return out;
}

} // namespace

KernelCommandLine KernelCommandLine::parse(std::string_view text) {
    KernelCommandLine line;
    for (const auto& word : words(text)) {
        if (word == "--")
            break;
        const auto at = word.find('=');
        line.parameters_.emplace_back(normal(word.substr(0, at)),
                                      at == std::string::npos ? "" : word.substr(at + 1));
    }
    return line;
}

std::optional<std::string> KernelCommandLine::value(std::string_view name) const {
    const auto wanted = normal(name);
    std::optional<std::string> found;
    for (const auto& [key, value] : parameters_)
        if (key == wanted)
            found = value;
    return found;
}

bool KernelCommandLine::has_word(std::string_view name, std::string_view word) const {
    const auto found = value(name);
    if (!found)
        return false;
    const auto parts = split(*found, ',');
    return std::find(parts.begin(), parts.end(), word) != parts.end();
}

} // namespace kata_vfio::cli
