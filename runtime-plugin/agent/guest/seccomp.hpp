// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/agent/protocol/message.hpp"

namespace kata_vfio::agent {

/// The calling thread is held to the filter from now on, and all it becomes. Wants CAP_SYS_ADMIN or
/// no_new_privs. Throws SystemError: with its own words for a kernel that has no filters.
void apply_seccomp(const SeccompFilter& filter);

} // namespace kata_vfio::agent
