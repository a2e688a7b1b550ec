// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"

#include <sys/types.h>

#include <string>

namespace kata_vfio::qemu {

/// A listening AF_UNIX stream socket of mode 0600, whose name goes with it.
///
/// The name may be left by a process that died: a socket nobody listens on is replaced. Callers see
/// to it that two processes don't do that to one name at a time (the plugin has the sandbox's
/// lock).
class UnixListener {
  public:
    /// Throws Failure: device_in_use (somebody listens there; names the process), invalid_argument
    /// (the path is too long), host_io, permission_denied.
    explicit UnixListener(std::string path, int backlog = 16);
    UnixListener(UnixListener&&) = default;
    UnixListener& operator=(UnixListener&&) = delete;
    /// Removes the name, if it is still this socket's.
    ~UnixListener();

    const std::string& path() const noexcept { return path_; }
    int fd() const noexcept { return fd_.get(); }

  private:
    void bind_name();

    std::string path_;
    UniqueFd fd_;
    dev_t device_ = 0; ///< with inode_, whose name it is
    ino_t inode_ = 0;
};

} // namespace kata_vfio::qemu
