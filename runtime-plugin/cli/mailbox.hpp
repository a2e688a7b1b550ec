// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"

#include <functional>
#include <mutex>
#include <vector>

namespace kata_vfio::cli {

/// Carries what the plugin's threads call back to the command's one thread, which runs it when
/// fd() is readable.
class Mailbox {
  public:
    Mailbox();

    /// [any-thread]
    void post(std::function<void()> message);

    /// Readable while there is something to run.
    int fd() const noexcept { return wake_.get(); }
    /// Runs all there is, in order, in the caller's thread.
    void run();

  private:
    UniqueFd wake_; ///< eventfd
    std::mutex mutex_;
    std::vector<std::function<void()>> messages_;
};

} // namespace kata_vfio::cli
