// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/agent/protocol/message.hpp"

#include <string>

namespace kata_vfio::agent {

/// Where the share of the host is mounted in the guest.
inline constexpr const char* share_directory = "/run/kata-vfio/share";

/// In a new process of new mount, pid, uts and ipc namespaces: makes the calling process's world
/// that of the container. Afterwards "/" is its root file system. Throws SystemError with what did
/// not work; the namespaces then go with the process.
void enter_new_container(const ContainerSpec& spec);

} // namespace kata_vfio::agent
