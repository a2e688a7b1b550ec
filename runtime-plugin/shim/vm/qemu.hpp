// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"
#include "qemu/qmp/session.hpp"
#include "runtime-plugin/shim/vm/child.hpp"
#include "runtime-plugin/shim/vm/command_line.hpp"

#include <memory>
#include <optional>
#include <string>

namespace kata_vfio::shim {

/// A sandbox's QEMU, child of this process. One thread.
class Qemu {
  public:
    /// Starts it; its words go to `log`. Gives the shim's end of the agent's port in `agent`, where
    /// that is one of virtio-serial. Throws Failure when it could not be started at all.
    Qemu(boost::asio::io_context& io, Machine machine, const std::filesystem::path& log,
         UniqueFd& agent);
    ~Qemu(); ///< kills it when it still runs, and waits for its end
    Qemu(const Qemu&) = delete;
    Qemu& operator=(const Qemu&) = delete;

    pid_t pid() const noexcept { return child_->pid(); }
    /// Until it serves QMP. Throws Failure(qemu_gone) with its last words when it ended instead.
    boost::asio::awaitable<void> ready();
    /// How it ended, and what it had said of why, for the log.
    const Future<std::string>& ended() const noexcept { return ended_; }
    /// What it has said so far of why it ends; "" for nothing.
    const std::string& said() const noexcept { return said_->end; }
    /// Asks it to end (QMP quit), and after `patience` ends it.
    boost::asio::awaitable<void> stop(std::chrono::milliseconds patience);
    void kill() noexcept { child_->kill(); }

  private:
    /// What its monitor has said of its end, and when no more can come of that.
    struct Said {
        explicit Said(boost::asio::io_context& io) : over(io) {}
        bool connected = false;
        std::string end;
        Future<bool> over;
    };
    static boost::asio::awaitable<void> watch(Future<std::string> child, std::shared_ptr<Said> said,
                                              Future<std::string> ended);

    UniqueFd monitor_fd_;
    std::filesystem::path log_;
    std::optional<QemuUser> user_;
    std::unique_ptr<Child> child_;
    std::shared_ptr<qemu::Session> monitor_;
    std::shared_ptr<Said> said_;
    Future<std::string> ended_;
};

} // namespace kata_vfio::shim
