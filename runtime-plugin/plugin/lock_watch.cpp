// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/lock_watch.hpp"

#include <boost/asio/use_awaitable.hpp>
#include <sys/inotify.h>
#include <unistd.h>

namespace kata_vfio::plugin {
namespace asio = boost::asio;

LockWatch::LockWatch(asio::any_io_executor executor, const std::filesystem::path& file)
    : inotify_(std::move(executor)) {
    const int fd = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0)
        return;
    inotify_.assign(fd);
    // Who takes the lock has the file open for writing. Its directory may be removed by a release.
    armed_ =
        ::inotify_add_watch(fd, file.c_str(), IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVE_SELF) >= 0;
}

void LockWatch::forget() {
    char events[4096];
    while (armed_ && ::read(inotify_.native_handle(), events, sizeof events) > 0) {
    }
}

void LockWatch::cancel() {
    inotify_.cancel();
}

asio::awaitable<void> LockWatch::changed() {
    co_await inotify_.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
    forget();
}

} // namespace kata_vfio::plugin
