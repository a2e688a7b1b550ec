// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/json/object.hpp>

#include <string>
#include <string_view>

namespace kata_vfio::qemu {

/// A member of what QEMU has answered; "" where it is missing or no string.
inline std::string text_member(const boost::json::object& object, std::string_view key) {
    const auto* value = object.if_contains(key);
    return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

} // namespace kata_vfio::qemu
