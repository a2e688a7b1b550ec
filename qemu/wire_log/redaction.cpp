// SPDX-License-Identifier: Apache-2.0
#include "qemu/wire_log/redaction.hpp"

#include "config/base/text.hpp"
#include "qemu/qmp/frame.hpp"

#include <boost/json/parse.hpp>

#include <algorithm>

namespace kata_vfio::qemu {
namespace {

/// The end of the string that begins with the quote at `at`.
std::size_t string_end(std::string_view text, std::size_t at) {
    for (++at; at < text.size() && text[at] != '"'; ++at)
        if (text[at] == '\\')
            ++at;
    return std::min(at + 1, text.size());
}

/// The end of the value that begins at `at`; valid JSON needs no more than nesting and strings.
std::size_t value_end(std::string_view text, std::size_t at) {
    std::size_t depth = 0;
    for (; at < text.size(); ++at) {
        const char c = text[at];
        if (c == '"') {
            at = string_end(text, at) - 1;
            if (depth == 0)
                return at + 1;
        } else if (c == '{' || c == '[') {
            ++depth;
        } else if (c == '}' || c == ']') {
            if (depth == 0)
                return at; // the end of what a bare number or word stands in
            if (--depth == 0)
                return at + 1;
        } else if (depth == 0 && (c == ',' || is_json_space(c))) {
            return at;
        }
    }
    return at;
}

/// A member's name without its quotes; QEMU would take "pass\u0077ord" for password as well.
std::string name_of(std::string_view quoted_name) {
    if (quoted_name.find('\\') == std::string_view::npos)
        return std::string(quoted_name.substr(1, quoted_name.size() - 2));
    return std::string(boost::json::parse(quoted_name).as_string());
}

} // namespace

Redaction::Redaction(const std::vector<std::string>& members) {
    for (const auto& member : members) {
        if (member.find('.') == std::string::npos) {
            names_.push_back(member);
            continue;
        }
        auto& path = paths_.emplace_back();
        for (const auto step : split(member, '.'))
            path.emplace_back(step);
    }
}

bool Redaction::matches(const std::vector<std::string>& path) const {
    return std::ranges::find(names_, path.back()) != names_.end() ||
           std::ranges::find(paths_, path) != paths_.end();
}

std::string Redaction::apply(std::string_view text) const {
    std::string out;
    out.reserve(text.size());
    std::vector<std::string> path; ///< of the member whose value is being walked through
    std::vector<char> open;        ///< the brackets
    bool name_next = false;
    std::size_t copied = 0;
    for (std::size_t at = 0; at < text.size();) {
        const char c = text[at];
        if (c == '"' && name_next) {
            const auto end = string_end(text, at);
            path.push_back(name_of(text.substr(at, end - at)));
            name_next = false;
            at = end;
            while (at < text.size() && (is_json_space(text[at]) || text[at] == ':'))
                ++at;
            if (!matches(path))
                continue;
            out.append(text, copied, at - copied).append(replacement);
            copied = at = value_end(text, at);
        } else if (c == '"') {
            at = string_end(text, at);
        } else {
            if (c == '{' || c == '[') {
                open.push_back(c);
                name_next = c == '{';
            } else if (c == '}' || c == ']') {
                // An empty object leaves no member behind to be taken off the path.
                if (c == '}' && !name_next && !path.empty())
                    path.pop_back();
                name_next = false;
                if (!open.empty())
                    open.pop_back();
            } else if (c == ',' && !open.empty() && open.back() == '{') {
                path.pop_back();
                name_next = true;
            }
            ++at;
        }
    }
    return out.append(text, copied, text.size() - copied);
}

} // namespace kata_vfio::qemu
