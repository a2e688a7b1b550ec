// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"
#include "runtime-plugin/plugin/cgroup_programs.hpp"
#include "vfio/host_root.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Whether QEMU's cgroup lets it open a VFIO node: QEMU itself has nothing but "Operation not
/// permitted" to say of that.
namespace kata_vfio::plugin {

/// One line of a cgroup v1 devices.list: "c 241:* rwm". Source: kernel
/// Documentation/admin-guide/cgroup-v1/devices.rst.
struct DeviceRule {
    char type = 'a';               ///< a, b or c
    std::optional<unsigned> major; ///< nullopt: any
    std::optional<unsigned> minor; ///< nullopt: any
    bool read_write = false;
};
/// What is malformed is left out.
std::vector<DeviceRule> parse_device_rules(std::string_view list);
bool permits(const std::vector<DeviceRule>& rules, unsigned major, unsigned minor);

/// Of one node.
struct NodeReach {
    std::optional<Failure> refused;
    /// Why it can't be told, where it can't; refuses nothing. "" when it is known.
    std::string unknown;
    /// It is because this process may not ask, which the next sandbox won't change.
    bool forbidden = false;
    /// There are neither rules nor programs: so it is for every node, until somebody makes some.
    bool unrestricted = false;
};

/// Whether a process may open `node` (a group's, by its host path) and the container's node
/// /dev/vfio/vfio for reading and writing: by the rules of version 1 where its controller is in
/// use, and by the programs of version 2, all of which must allow it. One program that denies is
/// enough, whatever the others are. A node whose numbers are not known (sysfs) is not asked about,
/// nor a process that is not known (0).
/// [any-thread]
NodeReach reach_of_node(const vfio::HostRoot& root, std::int64_t pid, const std::string& node,
                        const DevicePrograms& programs = kernel_programs());

} // namespace kata_vfio::plugin
