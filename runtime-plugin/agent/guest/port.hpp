// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"
#include "runtime-plugin/agent/guest/modules.hpp"
#include "vfio/host_root.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

namespace kata_vfio::agent {

/// The host's vsock port that the guest kernel's command line names; nullopt: it names none, and
/// the agent's port is one of virtio-serial. Pure.
std::optional<std::uint32_t> vsock_port(std::string_view command_line);

/// The agent's connection to its shim, not blocking, for both ways; its driver is loaded first.
/// Throws SystemError.
UniqueFd open_port(const vfio::HostRoot& root, const Modules& modules,
                   std::string_view command_line);

} // namespace kata_vfio::agent
