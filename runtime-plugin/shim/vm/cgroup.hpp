// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"
#include "runtime-plugin/shim/vm/device_rules.hpp"
#include "vfio/host_root.hpp"

#include <cstdint>
#include <filesystem>
#include <string>

namespace kata_vfio::shim {

/// The sandbox's group in the host's unified cgroup hierarchy, as linux.cgroupsPath of its spec
/// names it: what QEMU uses is then seen, and limited, where the pod's is looked for. Move-only.
class HostCgroup {
  public:
    HostCgroup() = default;
    /// `path`: "/kubepods/pod1/ID". Names nothing when the host has not the unified hierarchy (or
    /// not alone), or the path is systemd's "slice:prefix:name", empty, or has ".." in it.
    HostCgroup(const vfio::HostRoot& root, const std::string& path);

    /// "" when there is none.
    const std::filesystem::path& directory() const noexcept { return directory_; }
    /// Made when needed. Throws Failure(host_io).
    void take(std::int64_t pid) const;
    /// Of devices its processes may open these and no others from now on, in place of what was
    /// allowed before; does nothing when that is the same. Throws Failure (permission_denied,
    /// host_io: a kernel without CONFIG_CGROUP_BPF), and then all is as it was.
    void allow(const std::vector<DeviceRule>& rules);
    /// Its processes have ended. Groups above it stay: they may be somebody else's.
    void remove() const noexcept;

  private:
    std::filesystem::path directory_;
    std::vector<DeviceRule> allowed_;
    UniqueFd program_; ///< the one in force
};

} // namespace kata_vfio::shim
