// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "qemu/qmp/event_bus.hpp"
#include "qemu/qmp/session.hpp"
#include "qemu/qmp/session_fsm.hpp"
#include "qemu/qmp/watchdog.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>

#include <array>
#include <map>

namespace kata_vfio::qemu {

/// The timer is the deadline of a command that is waited for and, cancelled, the wake-up.
struct Submitted::State {
    State(std::shared_ptr<Session::Impl> session, const boost::asio::any_io_executor& executor,
          Command submitted)
        : impl(std::move(session)), timer(executor), command(std::move(submitted)) {}

    /// A cycle while the command is pending; Impl lets go of it with the answer, or at the end.
    std::shared_ptr<Session::Impl> impl;
    boost::asio::steady_timer timer;
    Command command;
    CommandId id = 0;
    std::optional<CommandResult> result;
    bool sent = false; ///< set when the connection is lost: bytes of it may have reached QEMU
};

/// Shared by the Session, its reader and the coroutines that wait: all of them may end last.
class Session::Impl : public std::enable_shared_from_this<Impl> {
  public:
    Impl(const boost::asio::any_io_executor& executor, std::string where, const Timeouts& timeouts,
         WireTap tap, FrameLimits limits)
        : socket_(executor), ready_(executor), fsm_(std::move(where), timeouts.greeting),
          splitter_(limits), bus_(executor), timeouts_(timeouts), tap_(std::move(tap)),
          watchdog_(timeouts.unresponsive), watch_(executor) {}

    boost::asio::awaitable<void> open(event::ConnectReturned connected);
    std::shared_ptr<Submitted::State> submit(Command command);
    void abandon(const Submitted::State& submitted);
    boost::asio::awaitable<boost::json::value> finish(std::shared_ptr<Submitted::State> submitted,
                                                      OnCancel mode);
    void close() { act(fsm_.resume(event::Closed{})); }

    boost::asio::local::stream_protocol::socket socket_;
    /// Expires with the greeting deadline; cancelled when the handshake has ended either way.
    boost::asio::steady_timer ready_;
    SessionFsm fsm_;
    FrameSplitter splitter_;
    Multiplexer multiplexer_;
    EventBus bus_;
    Timeouts timeouts_;
    WireTap tap_;
    EventHandler on_event_;
    LostHandler on_lost_;
    StateHandler on_state_;

  private:
    static boost::asio::awaitable<void> read(std::shared_ptr<Impl> self);
    void consume(std::string_view bytes);
    void act(SessionAction action, Message* message = nullptr);
    void complete(Message message);
    void deliver(const Event& event);
    void lose();
    void flush();
    void send(std::string bytes, std::shared_ptr<const UniqueFd> fd = nullptr);
    void send_fd(std::shared_ptr<const UniqueFd> fd);
    void send_from(std::size_t offset);
    void watch();
    void tell_state();
    Failure timeout_failure(const Command& command, CommandId id) const;

    std::map<CommandId, std::shared_ptr<Submitted::State>> pending_;
    Watchdog watchdog_;
    boost::asio::steady_timer watch_;
    bool watching_ = false; ///< watch_ is set: it is left to expire, and set again if too early
    std::string out_;       ///< what is being written; empty = no write is going on
    std::array<char, 8192> in_;
};

} // namespace kata_vfio::qemu
