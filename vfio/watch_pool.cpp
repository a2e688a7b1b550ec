// SPDX-License-Identifier: Apache-2.0
#include "vfio/watch_pool.hpp"

#include "config/base/failure.hpp"

#include <sys/inotify.h>

#include <cerrno>
#include <utility>

namespace kata_vfio::vfio {

UniqueFd WatchPool::take() {
    {
        const std::lock_guard lock(mutex_);
        if (!idle_.empty()) {
            auto fd = std::move(idle_.back());
            idle_.pop_back();
            return fd;
        }
    }
    UniqueFd fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!fd)
        throw host_failure(errno, "can't watch a directory (inotify)")
            .remedy("raise fs.inotify.max_user_instances");
    return fd;
}

void WatchPool::give(UniqueFd fd, int watch) {
    if (watch >= 0)
        ::inotify_rm_watch(fd.get(), watch);
    const std::lock_guard lock(mutex_);
    if (idle_.size() < most_idle)
        idle_.push_back(std::move(fd));
}

} // namespace kata_vfio::vfio
