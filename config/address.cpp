// SPDX-License-Identifier: Apache-2.0
#include "config/address.hpp"

#include <charconv>

namespace kata_vfio::config {

bool is_host_and_port(std::string_view text) {
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos || colon == 0)
        return false;
    const auto host = text.substr(0, colon), digits = text.substr(colon + 1);
    if (host.find(':') != std::string_view::npos && (host.front() != '[' || host.back() != ']'))
        return false;
    unsigned port = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    return error == std::errc() && end == digits.data() + digits.size() && port >= 1 &&
           port <= 65535;
}

bool is_socket_path(std::string_view path) {
    return path.starts_with('/') && path.size() > 1 && path.size() < 108 && !path.ends_with('/');
}

} // namespace kata_vfio::config
