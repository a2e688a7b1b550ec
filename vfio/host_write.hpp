// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"
#include "vfio/deadline.hpp"

#include <filesystem>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>

namespace kata_vfio::vfio {

/// How a sysfs control file is written, and by which process.
///
/// Some writes can block for as long as a guest holds the device, in a sleep that not even SIGKILL
/// ends: `remove` of a vGPU in use, `unbind` of a vfio-pci function in use, and then also reads and
/// writes of that function's driver_override, which want the same device lock. Such a write is made
/// by a throw-away child process (host_write), never by a thread of the embedding runtime: a thread
/// in that state would make the runtime unkillable. Source: kernel drivers/vfio/vfio_main.c
/// vfio_unregister_group_dev(), drivers/base/dd.c.
///
///   host_write         unbind, bind, drivers_probe, mdev remove, and driver_override of a function
///                      that has no driver but a live group node (an unbind may be under way)
///   host_write_direct  mdev create (bounded in the kernel, and on the hot path), driver_override
///   of a
///                      function with a driver
///
/// The child is invisible to the embedding process: made by clone(2) with exit signal 0, so no
/// SIGCHLD and no answer to its wait(-1); watched by pidfd; with every signal blocked, so that no
/// handler of the host runs in it; and with every other descriptor closed, so that a write which
/// blocks for hours keeps no lock, socket or VFIO device of the host open. (5.4 or later kernel.)
enum class HostWriteOutcome {
    done,    ///< the kernel took all bytes
    failed,  ///< refused at open or write: `error`, `at_open`
    pending, ///< still blocked at the deadline: `helper` is the way to hear of its end
};
std::ostream& operator<<(std::ostream& out, HostWriteOutcome outcome);

struct HostWriteResult;

/// A write that outlived its deadline. Move-only; one owner, one thread at a time.
///
/// Keep it until wait() says done or failed. When it is destroyed earlier, the write goes on all
/// the same (nothing can stop it), and the child stays a zombie from its end to the end of this
/// process.
class PendingWrite {
  public:
    PendingWrite(UniqueFd pidfd, UniqueFd answer, pid_t pid)
        : pidfd_(std::move(pidfd)), answer_(std::move(answer)), pid_(pid) {}
    PendingWrite(PendingWrite&&) noexcept = default;
    PendingWrite& operator=(PendingWrite&&) noexcept = default;
    ~PendingWrite();

    /// Readable (POLLIN) once the child has ended: for a loop of the owner's. Not to be closed.
    int pidfd() const noexcept { return pidfd_.get(); }
    pid_t pid() const noexcept { return pid_; }

    /// Waits on, and reaps the child once it has ended. With outcome `pending` the result's helper
    /// is empty: this object still is it. Must not be called again after done or failed.
    HostWriteResult wait(Deadline deadline);

  private:
    friend struct HelperAccess;
    UniqueFd pidfd_, answer_;
    pid_t pid_;
};

struct HostWriteResult {
    HostWriteOutcome outcome = HostWriteOutcome::failed;
    int error = 0;                      ///< errno, for failed
    bool at_open = false;               ///< failed to open, so the kernel saw nothing of the bytes
    std::optional<PendingWrite> helper; ///< set for pending (of host_write)
};

/// Writes `bytes` in one write(2) in a child process and waits for it until the deadline. An empty
/// `bytes` is a programming error and throws std::invalid_argument: the kernel takes a write of no
/// bytes as success and does nothing. Throws Failure(host_io) when no child can be made.
/// [any-thread]
HostWriteResult host_write(const std::filesystem::path& path, std::string_view bytes,
                           Deadline deadline);

/// The same in this thread, without a limit of time; never `pending`.
HostWriteResult host_write_direct(const std::filesystem::path& path, std::string_view bytes);

/// A bounded read, by the same child: the file's text (at most 4096 bytes), or none when it did not
/// come by the deadline or failed. For driver_override only.
std::optional<std::string> host_read(const std::filesystem::path& path, Deadline deadline);

} // namespace kata_vfio::vfio
