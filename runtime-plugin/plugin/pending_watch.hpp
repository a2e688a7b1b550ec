// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/plugin/sandbox_state.hpp"
#include "vfio/host_write.hpp"

#include <boost/asio/io_context.hpp>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace kata_vfio::plugin {

/// Tells when what keeps a device from being given back has ended: the child that is blocked in the
/// kernel's own wait for the last user, or else the process that has the device open, or its having
/// the group open. By pidfd, and by inotify on the group's node, so nothing is asked again and
/// again.
///
/// Everything on the io_context's thread.
class PendingWatch {
  public:
    explicit PendingWatch(boost::asio::io_context& io) : io_(io) {}
    PendingWatch(const PendingWatch&) = delete;
    PendingWatch& operator=(const PendingWatch&) = delete;

    /// Called with the sandbox, once for each watch that ended. Set before the first add().
    void on_end(std::function<void(const std::string& sandbox)> told) { told_ = std::move(told); }

    /// `device`: UUID or BDF; a second watch of one replaces the first, but for one that has the
    /// helper and gets none: that is the better sign. Without a helper, `node` (the group's, on
    /// this root) tells when somebody closes it, who may live on. With neither, and with a process
    /// that is not known, or not there, nothing is watched, and the next reconcile finds out.
    void add(const std::string& sandbox, const std::string& device,
             std::optional<vfio::PendingWrite> helper, const PendingOn& holder,
             const std::optional<std::filesystem::path>& node = std::nullopt);
    bool watches(const std::string& device) const { return entries_.contains(device); }

    /// Ends all, and takes no more.
    void close() {
        closed_ = true;
        entries_.clear();
    }

  private:
    struct Entry;

    /// Forgets the watch, which `entry` is of, and tells.
    void end(const std::string& device, Entry& entry);

    boost::asio::io_context& io_;
    std::function<void(const std::string&)> told_;
    bool closed_ = false;
    std::map<std::string, std::shared_ptr<Entry>> entries_; ///< by device
};

} // namespace kata_vfio::plugin
