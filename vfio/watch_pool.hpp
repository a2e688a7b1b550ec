// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"

#include <mutex>
#include <vector>

namespace kata_vfio::vfio {

/// inotify descriptors kept for the next wait. The last close of one that had a watch makes the
/// kernel wait for a grace period (fsnotify_destroy_group(), synchronize_srcu()): several ms, ten
/// times a whole wait. Removing the watch and keeping the descriptor costs nothing.
/// [any-thread] At most `most_idle` are kept, so a process holds that many more descriptors.
class WatchPool {
  public:
    static constexpr std::size_t most_idle = 4;

    /// One without watches; events of an earlier user's watch may still be in it (their watch
    /// number is never used again). Throws Failure(host_io) when none can be made.
    UniqueFd take();
    /// `watch` is the one still set, or -1.
    void give(UniqueFd fd, int watch);

  private:
    std::mutex mutex_;
    std::vector<UniqueFd> idle_;
};

} // namespace kata_vfio::vfio
