// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/pending_watch.hpp"

#include "config/base/unique_fd.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>

namespace kata_vfio::plugin {
namespace asio = boost::asio;
namespace {

/// fsnotify tells of a close before the driver's release runs (fs/file_table.c __fput()): what is
/// looked at right away may still find the group busy.
constexpr auto release_takes = std::chrono::milliseconds(50);

UniqueFd closes_of(const std::filesystem::path& node) {
    UniqueFd fd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    if (fd && ::inotify_add_watch(fd.get(), node.c_str(), IN_CLOSE) < 0)
        fd.reset();
    return fd;
}

} // namespace

struct PendingWatch::Entry {
    Entry(asio::io_context& io, std::string id) : sandbox(std::move(id)), released(io) {}

    std::string sandbox;
    std::optional<vfio::PendingWrite> helper;
    std::optional<asio::posix::stream_descriptor> ended;  ///< a pidfd
    std::optional<asio::posix::stream_descriptor> closes; ///< inotify, of the node
    asio::steady_timer released;
};

void PendingWatch::add(const std::string& sandbox, const std::string& device,
                       std::optional<vfio::PendingWrite> helper, const PendingOn& holder,
                       const std::optional<std::filesystem::path>& node) {
    if (closed_)
        return;
    if (const auto known = entries_.find(device);
        known != entries_.end() && known->second->helper && !helper)
        return;
    UniqueFd process, closes;
    if (helper) // the descriptor stays the helper's own: it reaps by it
        process.reset(::fcntl(helper->pidfd(), F_DUPFD_CLOEXEC, 0));
    else if (holder.pid > 0 && holder.start != 0) // else it could be anybody by now
        process.reset(
            static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(holder.pid), 0)));
    if (!helper && node)
        closes = closes_of(*node);
    if (!process && !closes)
        return;
    auto entry = std::make_shared<Entry>(io_, sandbox);
    entry->helper = std::move(helper);
    entries_[device] = entry;
    if (process)
        entry->ended.emplace(io_, process.release());
    if (closes)
        entry->closes.emplace(io_, closes.release());
    // Weak: an entry that is replaced or cleared takes its waits along.
    const auto weak = std::weak_ptr(entry);
    const auto over = [this, device, weak](const boost::system::error_code& error) {
        const auto ended = weak.lock();
        if (!error && ended)
            end(device, *ended);
    };
    if (entry->ended)
        entry->ended->async_wait(asio::posix::stream_descriptor::wait_read, over);
    if (entry->closes)
        entry->closes->async_wait(asio::posix::stream_descriptor::wait_read,
                                  [weak, over](const boost::system::error_code& error) {
                                      const auto closed = weak.lock();
                                      if (error || !closed)
                                          return;
                                      closed->released.expires_after(release_takes);
                                      closed->released.async_wait(over);
                                  });
}

void PendingWatch::end(const std::string& device, Entry& entry) {
    if (entry.helper)
        (void)entry.helper->wait(std::chrono::seconds(0)); // reaps it
    const auto id = entry.sandbox;
    entries_.erase(device);
    if (told_)
        told_(id);
}

} // namespace kata_vfio::plugin
