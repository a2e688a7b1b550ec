// SPDX-License-Identifier: Apache-2.0
#include "vfio/wait_path.hpp"

#include "config/base/failure.hpp"
#include "config/base/unique_fd.hpp"

#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace kata_vfio::vfio {
namespace fs = std::filesystem;
namespace {

constexpr long sysfs_magic = 0x62656572; // include/uapi/linux/magic.h
constexpr int sysfs_look_again_ms = 20;
constexpr std::uint32_t name_changes = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
                                       IN_DELETE_SELF | IN_MOVE_SELF | IN_ATTRIB | IN_ONLYDIR;

bool name_exists(const fs::path& path) {
    struct stat st {};
    return ::lstat(path.c_str(), &st) == 0;
}

bool directory_there(const fs::path& path) {
    struct stat st {};
    return ::stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode);
}

fs::path nearest_directory(fs::path directory) {
    while (!directory_there(directory) && directory.has_relative_path())
        directory = directory.parent_path();
    return directory;
}

bool on_sysfs(const fs::path& directory) {
    struct statfs fs_info {};
    return ::statfs(directory.c_str(), &fs_info) == 0 && fs_info.f_type == sysfs_magic;
}

/// One inotify descriptor that watches the nearest directory there is.
class NameWatch {
  public:
    explicit NameWatch(WatchPool& pool) : pool_(pool), fd_(pool.take()) {}
    ~NameWatch() { pool_.give(std::move(fd_), watch_); }
    NameWatch(const NameWatch&) = delete;
    NameWatch& operator=(const NameWatch&) = delete;

    /// True when a watch was set now, so that the names must be looked at again.
    bool arm(const fs::path& wanted) {
        const auto directory = nearest_directory(wanted);
        if (watch_ >= 0 && directory == armed_)
            return false;
        if (watch_ >= 0)
            ::inotify_rm_watch(fd_.get(), watch_);
        watch_ = ::inotify_add_watch(fd_.get(), directory.c_str(), name_changes);
        if (watch_ < 0 && errno != ENOENT && errno != ENOTDIR)
            throw host_failure(errno, "can't watch " + directory.string())
                .remedy("raise fs.inotify.max_user_watches");
        armed_ = directory;
        return true;
    }

    /// Until something changes or the time is over.
    void wait(int ms) {
        pollfd item{fd_.get(), POLLIN, 0};
        if (::poll(&item, 1, ms) <= 0)
            return;
        alignas(inotify_event) char buffer[4096];
        ssize_t n = 0;
        while ((n = ::read(fd_.get(), buffer, sizeof buffer)) > 0)
            for (ssize_t at = 0; at < n;) {
                const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
                if (event->wd == watch_ && (event->mask & (IN_IGNORED | IN_MOVE_SELF)) != 0)
                    watch_ = -1; // the directory went: the next arm() finds the nearest again
                at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
            }
    }

    const fs::path& armed() const noexcept { return armed_; }

  private:
    WatchPool& pool_;
    UniqueFd fd_;
    int watch_ = -1;
    fs::path armed_;
};

} // namespace

bool wait_until(const fs::path& directory, const std::function<bool()>& holds, Deadline deadline,
                WatchPool& pool) {
    if (holds())
        return true;
    NameWatch watch(pool);
    for (;;) {
        const bool fresh = watch.arm(directory);
        if (holds())
            return true;
        if (fresh && watch.arm(directory)) // a nearer directory came between choosing and arming
            continue;
        const int left = deadline.poll_ms();
        if (left == 0)
            return false;
        watch.wait(on_sysfs(watch.armed()) ? std::min(left, sysfs_look_again_ms) : left);
    }
}

bool settled(const fs::path& directory, const std::function<bool()>& holds, Deadline deadline,
             WatchPool& pool) {
    if (holds())
        return true;
    return !on_sysfs(nearest_directory(directory)) && wait_until(directory, holds, deadline, pool);
}

bool wait_exists(const fs::path& path, Deadline deadline, WatchPool& pool) {
    return wait_until(
        path.parent_path(), [&path] { return name_exists(path); }, deadline, pool);
}

bool wait_gone(const fs::path& path, Deadline deadline, WatchPool& pool) {
    return wait_until(
        path.parent_path(), [&path] { return !name_exists(path); }, deadline, pool);
}

} // namespace kata_vfio::vfio
