// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace kata_vfio::config {

/// "HOST:PORT" with a port from 1 to 65535; an IPv6 address in brackets. Pure; nothing is resolved.
bool is_host_and_port(std::string_view text);

/// An absolute path that sockaddr_un takes: at most 107 bytes.
bool is_socket_path(std::string_view path);

} // namespace kata_vfio::config
