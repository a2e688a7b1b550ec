// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <filesystem>

namespace kata_vfio::plugin {

/// Waiting for another process to let go of a sandbox's lock. flock(2) tells nobody, but its holder
/// closes the file then, or the kernel does for one that was killed, and inotify tells that.
///
///     LockWatch watch(executor, file);     // armed before the lock is tried, so nothing is missed
///     .. the lock is taken: busy ..
///     watch.forget();                      // our own try has closed the file as well
///     .. it is not locked any more: try again ..
///     co_await watch.changed();            // then try again
///
/// Who else tries wakes this too: changed() is a reason to look, no promise.
class LockWatch {
  public:
    /// Without the file, or out of inotify instances, there is nothing to wait for: armed() is
    /// false.
    LockWatch(boost::asio::any_io_executor executor, const std::filesystem::path& file);

    bool armed() const { return armed_; }
    void forget();
    /// Throws boost::system::system_error (operation_aborted) when cancelled.
    boost::asio::awaitable<void> changed();
    /// Ends changed(), as if it had been cancelled.
    void cancel();

  private:
    boost::asio::posix::stream_descriptor inotify_;
    bool armed_ = false;
};

} // namespace kata_vfio::plugin
