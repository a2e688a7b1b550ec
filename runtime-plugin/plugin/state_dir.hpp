// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/plugin/file_lock.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace kata_vfio::plugin {

/// The directory that every process of ours on a host shares (/run/kata-vfio by default):
///
///     lock                     short critical sections between processes (claims)
///     claims/NAME              who owns a function, group or mdev: claims.hpp
///     bound/BDF.json           functions bound by `kata-vfio bind`, for `restore`
///     sandboxes/ID/state.json  what is attached: sandbox_state.hpp
///     sandboxes/ID/journal     steps of an attach under way: journal.hpp
///     sandboxes/ID/qmp.sock    a QMP proxy, while the sandbox is open: sandbox_proxy.cpp
///     sandboxes/ID/lock        held while one process changes the sandbox
///     sandboxes/ID/wire.log    what went over its QMP connections: qmp_log.hpp
///     quarantine/NAME          what could not be trusted, and NAME.why: quarantine.hpp
///
/// Root-only (0700). Made when first needed, not before: a refused request leaves nothing.
class StateDir {
  public:
    explicit StateDir(std::filesystem::path path)
        : path_(std::move(path)), sandboxes_((path_ / "sandboxes" / "").native()) {}

    const std::filesystem::path& path() const noexcept { return path_; }
    /// Put together as text: joining paths part by part was a sixth of what an attach computes.
    std::filesystem::path sandbox(const std::string& id) const { return sandboxes_ + id; }
    std::filesystem::path claims() const { return path_ / "claims"; }
    std::filesystem::path bound() const { return path_ / "bound"; }
    std::filesystem::path quarantine() const { return path_ / "quarantine"; }

    /// Ids of the sandboxes that have a state directory, sorted.
    std::vector<std::string> sandbox_ids() const;

    /// Makes `directory` and what is missing above it, 0700. Throws Failure(host_io,
    /// permission_denied).
    void ensure(const std::filesystem::path& directory) const;

    /// Takes the host-wide lock, waiting for it: sections under it only read and write small files.
    FileLock lock() const;

    /// Takes the sandbox's lock, made with its directory if need be. Throws Failure(sandbox_busy)
    /// with the holder's pid at once when another process has it. The lock goes with the
    /// answer.
    FileLock lock_sandbox(const std::string& id) const;

    /// Whether somebody has the sandbox's lock at this moment; makes nothing.
    bool sandbox_locked(const std::string& id) const;

    /// Takes away what processes killed in remove_sandbox() have left.
    void clear_removed() const;

    /// Takes away the temporary files of processes killed as they wrote a record: a sandbox's
    /// state, unless somebody has its lock at this moment, a function that was bound, one whose
    /// virtual functions were enabled. What can't be removed stays, for the next time.
    void clear_temporaries() const;

    /// Of one sandbox. Call it with that one's lock held.
    void clear_temporaries(const std::string& id) const;

    /// Removes the sandbox's directory, at one instant for everyone else. Call it with the
    /// sandbox's lock held. Throws Failure(host_io, permission_denied).
    void remove_sandbox(const std::string& id) const;

  private:
    void clear_removed_but(const std::filesystem::path& one) const;

    std::filesystem::path path_;
    std::string sandboxes_; ///< with the separator
};

} // namespace kata_vfio::plugin
