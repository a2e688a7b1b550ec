// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"
#include "runtime-plugin/agent/protocol/message.hpp"

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace kata_vfio::agent {

/// What of a cgroup2 group's files has to be written for `limits`, in order. Pure. Source:
/// Documentation/admin-guide/cgroup-v2.rst.
std::vector<std::pair<std::string, std::string>> limit_files(const ResourceLimits& limits);

/// How many processes of a group, and of those below it, were ended for want of memory, out of its
/// memory.events; 0 where that does not tell. Pure.
std::uint32_t oom_kills(const std::string& memory_events);

/// A container's group in the guest's cgroup2 tree: what it uses and may use, which processes it
/// has, and the one sure way to end them all.
class Cgroup {
  public:
    /// Turns the controllers on for the groups below `mount`. Not fatal where one is missing.
    static void prepare(const std::filesystem::path& mount);

    /// Names, but does not make, the group.
    Cgroup(const std::filesystem::path& mount, const std::string& container);
    void make() const; ///< Throws SystemError
    /// Throws SystemError for what the kernel does not take, or has no controller for: a limit that
    /// was asked for is never left out silently.
    void limit(const ResourceLimits& limits) const;
    UniqueFd open() const;        ///< for clone3(2); throws SystemError
    void kill_all() const;        ///< SIGKILL to each process, forks in flight included
    void remove() const noexcept; ///< when it is empty
    std::vector<std::uint32_t> processes() const; ///< pids as the agent sees them
    Usage usage() const;
    /// memory.events, which is ready for POLLPRI behind each change of it since it was read; none
    /// where the kernel has no such file (no memory controller).
    UniqueFd open_memory_events() const;

  private:
    std::filesystem::path path_;
};

} // namespace kata_vfio::agent
