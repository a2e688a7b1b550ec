// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/cli/arguments.hpp"
#include "runtime-plugin/cli/qmp_peer.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace kata_vfio::cli {

/// The socket that `qmp` and `events` talk to: --socket, or the proxy of the sandbox. Throws
/// Failure: sandbox_not_found, or monitor_missing with what is to be switched on.
std::string qmp_socket(const Arguments& arguments);

/// A QMP session used by one thread that waits for what it has asked. SIGINT and SIGTERM end what
/// it waits for.
class QmpClient {
  public:
    using Deadline = std::optional<std::chrono::steady_clock::time_point>;

    /// Of a socket. Throws as Session::connect.
    explicit QmpClient(const std::string& path);
    /// What the command line names: qmp_socket(), or with --daemon a sandbox of kata-vfiod's.
    /// Throws as those, and as DaemonQmp.
    explicit QmpClient(const Arguments& arguments);
    ~QmpClient();
    QmpClient(const QmpClient&) = delete;
    QmpClient& operator=(const QmpClient&) = delete;

    /// Throws Failure: qemu_refused (as qemu_says() has it; of a command that QEMU does not know,
    /// with the one that was probably meant: it is asked for those it has), qmp_timeout, qemu_gone,
    /// cancelled (a signal; QEMU goes on with the command, its answer is dropped).
    boost::json::value execute(qemu::Command command);

    /// Events are handed out while something is waited for.
    void on_event(qemu::EventHandler handler) { peer_->on_event(std::move(handler)); }
    std::optional<Failure> lost() const { return peer_->lost(); }
    std::string qemu_version() const { return peer_->qemu_version(); }

    enum class Ended { done, deadline, signal };
    /// Runs the loop until `done`, asked after each thing that happened, is true.
    Ended run_until(const std::function<bool()>& done, Deadline deadline = {});
    boost::asio::io_context& loop() noexcept { return loop_; }

  private:
    struct Socket;

    void connect(const std::string& path);
    void await_signal();
    Failure with_the_nearest(Failure refused, const std::string& command);
    template <class Result>
    Result wait_for(boost::asio::awaitable<Result> operation);

    boost::asio::io_context loop_{1};
    boost::asio::signal_set signals_;
    bool signalled_ = false;
    std::unique_ptr<QmpPeer> peer_; ///< after the loop, which it uses to its end
};

} // namespace kata_vfio::cli
