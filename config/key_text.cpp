// SPDX-License-Identifier: Apache-2.0
// The texts of config/keys.hpp: values as TOML, types and ranges in words.
#include "config/keys.hpp"

#include "config/base/text.hpp"

#include <algorithm>
#include <type_traits>

namespace kata_vfio::config {

std::string Key::dotted() const {
    return std::string(table) + "." + std::string(name);
}

std::string toml_string(std::string_view text) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string out = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (c == '\n') {
            out += "\\n";
        } else if (c == '\t') {
            out += "\\t";
        } else if (byte < 0x20 || byte == 0x7f) {
            out += "\\u00";
            out += digits[byte >> 4];
            out += digits[byte & 15];
        } else {
            out += c;
        }
    }
    return out + '"';
}

std::string toml_literal(const Slot& slot) {
    return std::visit(
        [](const auto* value) -> std::string {
            using Value = std::remove_cvref_t<decltype(*value)>;
            if constexpr (std::is_same_v<Value, bool>) {
                return *value ? "true" : "false";
            } else if constexpr (std::is_same_v<Value, std::int64_t>) {
                return std::to_string(*value);
            } else if constexpr (std::is_same_v<Value, std::string>) {
                return toml_string(*value);
            } else if constexpr (std::is_same_v<Value, std::chrono::milliseconds>) {
                return std::to_string(value->count());
            } else {
                std::string list = "[";
                for (const auto& element : *value)
                    list += std::string(list.size() > 1 ? ", " : "") + toml_string(element);
                return list + "]";
            }
        },
        slot);
}

std::string type_name(const Slot& slot) {
    return std::visit(
        [](const auto* value) -> std::string {
            using Value = std::remove_cvref_t<decltype(*value)>;
            if constexpr (std::is_same_v<Value, bool>)
                return "true or false";
            else if constexpr (std::is_same_v<Value, std::string>)
                return "a string";
            else if constexpr (std::is_same_v<Value, std::vector<std::string>>)
                return "a list of strings";
            else
                return "a whole number";
        },
        slot);
}

std::string default_literal(const Key& key) {
    Configuration fresh;
    return toml_literal(key.slot(fresh));
}

std::string range_text(const Key& key) {
    if (!key.choices.empty()) {
        std::vector<std::string> words;
        for (const auto choice : key.choices)
            words.push_back(toml_string(choice));
        return join_words(words, " or ");
    }
    // The bounds of a 32-bit number are QEMU's, of no interest to a reader.
    const bool low = key.min > std::numeric_limits<std::int32_t>::min();
    const bool high = key.max < std::numeric_limits<std::int32_t>::max();
    const auto unit = key.unit.empty() ? std::string() : std::string(" ").append(key.unit);
    if (low && high)
        return std::to_string(key.min) + " to " + std::to_string(key.max) + unit;
    if (low)
        return "at least " + std::to_string(key.min) + unit;
    if (high)
        return "at most " + std::to_string(key.max) + unit;
    return {};
}

std::string range_problem(const Key& key, std::int64_t value) {
    if (value >= key.min && value <= key.max)
        return {};
    const auto range = range_text(key);
    return "must be " + (range.empty() ? std::string("a 32-bit number") : range) + ", is " +
           std::to_string(value);
}

std::string choice_problem(const Key& key, const std::string& value) {
    if (key.choices.empty() || std::ranges::find(key.choices, value) != key.choices.end())
        return {};
    const std::vector<std::string> words(key.choices.begin(), key.choices.end());
    const auto meant = nearest(value, words);
    return "must be " + range_text(key) + ", is " + kata_vfio::quoted(value) +
           (meant.empty() ? "" : " (did you mean " + toml_string(meant) + "?)");
}

} // namespace kata_vfio::config
