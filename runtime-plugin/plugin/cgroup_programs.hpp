// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/plugin/device_program.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace kata_vfio::plugin {

/// A device program as the kernel has it loaded.
struct LoadedProgram {
    std::string name; ///< what its loader calls it, "sd_devices"; may be ""
    std::vector<Instruction> instructions;
};

/// What is asked of the kernel about the device programs of cgroups (version 2). Both throw
/// std::system_error: EPERM without CAP_SYS_ADMIN, CAP_NET_ADMIN and CAP_BPF, ENOSYS or EINVAL of a
/// kernel without them. [any-thread]
struct DevicePrograms {
    /// By id, of the cgroup with that directory: those attached to it, or (`in_effect`) those that
    /// decide for its processes, its ancestors' among them.
    std::function<std::vector<std::uint32_t>(const std::filesystem::path& cgroup, bool in_effect)>
        ids;
    std::function<LoadedProgram(std::uint32_t id)> load;
};

/// By bpf(2): BPF_PROG_QUERY, BPF_PROG_GET_FD_BY_ID, BPF_OBJ_GET_INFO_BY_FD.
const DevicePrograms& kernel_programs();

} // namespace kata_vfio::plugin
