// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/cli/arguments.hpp"
#include "runtime-plugin/cli/daemon_connection.hpp"
#include "runtime-plugin/cli/qmp_peer.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace kata_vfio::cli {

/// QMP through kata-vfiod: commands by Qmp.Execute, events by Qmp.Events, each in a thread that
/// waits for the daemon and hands what came to the loop.
class DaemonQmp : public QmpPeer {
  public:
    /// Both outlive it.
    DaemonQmp(boost::asio::io_context& loop, const Arguments& arguments);
    /// What is under way is cancelled and waited for.
    ~DaemonQmp() override;

    /// From here on no event is missed; QEMU's version. Throws the Failure of Qmp.Events, or
    /// cancelled.
    boost::asio::awaitable<std::string> connect();

    boost::asio::awaitable<boost::json::value> execute(qemu::Command command) override;
    void on_event(qemu::EventHandler handler) override { handler_ = std::move(handler); }
    std::optional<Failure> lost() const override { return lost_; }
    std::string qemu_version() const override { return version_; }

  private:
    /// One blocking call in a thread of its own; `ended` never expires, it is cancelled.
    struct Work {
        explicit Work(boost::asio::io_context& loop);
        boost::asio::steady_timer ended;
        bool done = false;
        std::optional<Failure> failure;
        boost::json::object answer;
        std::thread thread;
    };
    using Task = std::function<boost::json::object()>;
    std::shared_ptr<Work> start(Task task);
    void reap();
    void take(const boost::json::object& message);
    void post(const boost::json::object& message);

    boost::asio::io_context& loop_;
    std::string sandbox_;
    DaemonConnection daemon_;
    qemu::EventHandler handler_;
    std::optional<Failure> lost_;
    std::string version_;
    boost::asio::steady_timer connected_;
    std::list<std::shared_ptr<Work>> works_;

    /// Of events that have come and are not handled. Beyond it none is read: the daemon then has
    /// them waiting, and its own limit.
    static constexpr std::size_t most_unhandled = 1024;
    std::mutex mutex_; ///< of what follows
    std::condition_variable handled_;
    std::size_t unhandled_ = 0;
    bool ending_ = false;
};

} // namespace kata_vfio::cli
