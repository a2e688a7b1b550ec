// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"

#include <sys/file.h>

#include <utility>

namespace kata_vfio::plugin {

/// An flock(2) that is held. Let go by LOCK_UN, not by closing alone: a child made meanwhile (a
/// helper of ours for another sandbox, one of the embedding host's between fork and exec) has a
/// copy of the descriptor, and the lock would live as long as that.
class FileLock {
  public:
    explicit FileLock(UniqueFd locked) : fd_(std::move(locked)) {}
    FileLock(FileLock&&) noexcept = default;
    FileLock& operator=(FileLock&&) = delete;
    ~FileLock() { release(); }

    void release() noexcept {
        if (fd_)
            ::flock(fd_.get(), LOCK_UN);
        fd_.reset();
    }
    explicit operator bool() const noexcept { return static_cast<bool>(fd_); }

  private:
    UniqueFd fd_;
};

} // namespace kata_vfio::plugin
