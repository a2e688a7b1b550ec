// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/json/value.hpp>
#include <boost/json/value_from.hpp>

#include <optional>
#include <string>

namespace kata_vfio::cli {

/// The value, or null.
template <class T>
boost::json::value or_null(const std::optional<T>& value) {
    return value ? boost::json::value_from(*value) : boost::json::value(nullptr);
}

/// The text, or null when it is empty.
inline boost::json::value text_or_null(const std::string& text) {
    return text.empty() ? boost::json::value(nullptr) : boost::json::value(text);
}

/// For a table: the number, or an empty cell.
inline std::string number_text(const std::optional<int>& number) {
    return number ? std::to_string(*number) : std::string();
}

/// A string member of what the plugin has reported; "" when it is missing or null.
inline std::string string_at(const boost::json::object& object, std::string_view key) {
    const auto* value = object.if_contains(key);
    return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

/// A member that is true; false when it is missing or something else.
inline bool flag_at(const boost::json::object& object, std::string_view key) {
    const auto* value = object.if_contains(key);
    return value && value->is_bool() && value->get_bool();
}

/// A number member likewise.
inline std::string number_at(const boost::json::object& object, std::string_view key) {
    const auto* value = object.if_contains(key);
    if (value && value->is_int64())
        return std::to_string(value->get_int64());
    return value && value->is_uint64() ? std::to_string(value->get_uint64()) : std::string();
}

} // namespace kata_vfio::cli
