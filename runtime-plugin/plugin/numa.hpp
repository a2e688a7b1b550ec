// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vfio/host_root.hpp"

#include <cstdint>
#include <set>
#include <string_view>

namespace kata_vfio::plugin {

/// "0-1,3": numbers and ranges as the kernel writes its lists; what is malformed is left out, and
/// nothing above 1023 is taken. Source: kernel Documentation/admin-guide/cputopology.rst.
std::set<int> parse_list(std::string_view text);

/// NUMA nodes on which a process's memory may lie (Mems_allowed_list of its status; a guest's QEMU
/// is put on some by its cpuset); empty when that is not known, or is all nodes the host has, so
/// that none is nearer than another. [any-thread]
std::set<int> nodes_of(const vfio::HostRoot& root, std::int64_t pid);

} // namespace kata_vfio::plugin
