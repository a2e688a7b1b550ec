// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/pending_watch.hpp"

#include "config/base/unique_fd.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>

namespace kata_vfio::plugin {
namespace asio = boost::asio;

struct PendingWatch::Entry {
    Entry(asio::io_context& io, std::string id, std::optional<vfio::PendingWrite> child,
          UniqueFd fd)
        : sandbox(std::move(id)), helper(std::move(child)), ended(io, fd.release()) {}

    std::string sandbox;
    std::optional<vfio::PendingWrite> helper;
    asio::posix::stream_descriptor ended; ///< a pidfd
};

void PendingWatch::add(const std::string& sandbox, const std::string& device,
                       std::optional<vfio::PendingWrite> helper, const PendingOn& holder) {
    if (closed_)
        return;
    if (const auto known = entries_.find(device);
        known != entries_.end() && known->second->helper && !helper)
        return;
    UniqueFd fd;
    if (helper) // the descriptor stays the helper's own: it reaps by it
        fd.reset(::fcntl(helper->pidfd(), F_DUPFD_CLOEXEC, 0));
    else if (holder.pid > 0 && holder.start != 0) // else it could be anybody by now
        fd.reset(static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(holder.pid), 0)));
    if (!fd)
        return;
    auto entry = std::make_shared<Entry>(io_, sandbox, std::move(helper), std::move(fd));
    entries_[device] = entry;
    // Weak: an entry that is replaced or cleared takes its wait along.
    entry->ended.async_wait(
        asio::posix::stream_descriptor::wait_read,
        [this, device, weak = std::weak_ptr(entry)](const boost::system::error_code& error) {
            const auto over = weak.lock();
            if (error || !over)
                return;
            if (over->helper)
                (void)over->helper->wait(std::chrono::seconds(0)); // reaps it
            const auto id = over->sandbox;
            entries_.erase(device);
            if (told_)
                told_(id);
        });
}

} // namespace kata_vfio::plugin
