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
    /// `path`: linux.cgroupsPath, see cgroup_path(). Names nothing when the host has not the
    /// unified hierarchy (or not alone), when the path is nowhere, or systemd has not made its
    /// slice.
    ///
    /// systemd's scope is made here, in the slice that systemd (asked by kubelet) has made and
    /// whose limits hold QEMU then; systemd has no unit of it. It neither moves nor ends what it
    /// does not know below a slice, but may switch controllers off there: no limit is set here.
    HostCgroup(const vfio::HostRoot& root, const std::string& path);

    /// "" when there is none.
    const std::filesystem::path& directory() const noexcept { return directory_; }
    /// Why there is none, for the log; "" when none was asked for.
    const std::string& why_not() const noexcept { return why_not_; }
    /// Made when needed. Throws Failure(host_io).
    void take(std::int64_t pid) const;
    /// Of devices its processes may open these and no others from now on, in place of what was
    /// allowed before; does nothing when that is the same. Throws Failure (permission_denied,
    /// host_io: a kernel without CONFIG_CGROUP_BPF), and then all is as it was.
    void allow(const std::vector<DeviceRule>& rules);
    /// Its processes have ended. Groups above it stay: they may be somebody else's.
    void remove() const noexcept;

  private:
    void make() const;

    std::filesystem::path directory_;
    std::string why_not_;
    bool parent_is_systemds_ = false;
    std::vector<DeviceRule> allowed_;
    UniqueFd program_; ///< the one in force
};

} // namespace kata_vfio::shim
