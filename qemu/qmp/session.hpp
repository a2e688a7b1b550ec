// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"
#include "config/base/unique_fd.hpp"
#include "qemu/qmp/command.hpp"
#include "qemu/qmp/frame.hpp"
#include "qemu/qmp/message.hpp"
#include "qemu/qmp/multiplexer.hpp"
#include "qemu/qmp/session_fsm.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/json/value.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace kata_vfio::qemu {

/// What a cancellation of the waiting coroutine does.
enum class OnCancel {
    abandon, ///< stop waiting at once; the command's id is kept until its reply, which is dropped
    finish,  ///< go on until the reply or the deadline: for commands whose outcome must be known
};

enum class WireDirection { sent, received };
/// Sees every byte as it goes over the wire, in order; called on the session's executor.
using WireTap = std::function<void(WireDirection, std::string_view)>;
using EventHandler = std::function<void(const Event&)>;
using LostHandler = std::function<void(const Failure&)>;
/// The state entered, unresponsive or running, and a line for people.
using StateHandler = std::function<void(SessionState, const std::string&)>;

/// Receives the events its predicate accepts, from arm() until it is destroyed. Up to 64 are kept
/// until waited for, more are dropped and counted: the reader is never blocked by a consumer.
/// Move-only; same thread rule as Session. May outlive the session (it then fails as lost).
class EventWaiter {
  public:
    struct State;
    explicit EventWaiter(std::shared_ptr<State> state);
    EventWaiter(EventWaiter&&) noexcept;
    EventWaiter& operator=(EventWaiter&&) noexcept;
    ~EventWaiter();

    /// The next event; nullopt when the deadline passed first. Throws Failure: what the session was
    /// lost with (qemu_gone, ...), cancelled. Events seen before the loss are still handed out.
    boost::asio::awaitable<std::optional<Event>>
    wait_until(std::chrono::steady_clock::time_point deadline, OnCancel mode = OnCancel::abandon);

    /// Events dropped because nobody fetched them.
    std::uint64_t overflowed() const noexcept;

  private:
    std::shared_ptr<State> state_;
};

/// A command that Session::submit() has taken. Move-only; same thread rule as Session.
class Submitted {
  public:
    struct State;
    explicit Submitted(std::shared_ptr<State> state);
    Submitted(Submitted&&) noexcept;
    Submitted& operator=(Submitted&&) noexcept;
    ~Submitted();

  private:
    friend class Session;
    std::shared_ptr<State> state_;
};

/// A QMP client on one connection.
///
/// Threads: everything, destruction included, on the one executor the session was connected on (an
/// io_context run by one thread, or a strand). Destroying it closes the connection; that must
/// happen before the io_context is destroyed.
///
/// Cancellation: per operation, by the awaiting coroutine's cancellation slot. A timeout or a
/// cancellation poisons nothing: other commands, before and after, are not affected. Asio itself
/// throws system_error(operation_aborted) from a co_await *begun* after the cancellation, unless
/// the coroutine has said `co_await this_coro::throw_if_cancelled(false)`; with that said, callers
/// see Failure(cancelled) only.
class Session {
  public:
    /// Connects to the AF_UNIX socket, takes the greeting and negotiates. Throws Failure:
    /// monitor_missing, monitor_refused, monitor_busy (backlog full, or no greeting within
    /// timeouts.greeting), not_qmp, qemu_gone, permission_denied, cancelled.
    static boost::asio::awaitable<std::shared_ptr<Session>> connect(std::string socket_path,
                                                                    Timeouts timeouts = {},
                                                                    WireTap tap = {},
                                                                    FrameLimits limits = {});

    /// The same on a connected stream socket the host gives away; nobody may have read from it.
    static boost::asio::awaitable<std::shared_ptr<Session>>
    from_fd(UniqueFd fd, Timeouts timeouts = {}, WireTap tap = {}, FrameLimits limits = {});

    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    /// Sends the command and returns its `return`. Throws QmpFailure (QEMU's error reply,
    /// classified), or Failure: qmp_timeout after timeouts().of(command.cls), counted from this
    /// call; qmp_protocol (the answer can't be parsed); cancelled; CommandLost when the connection
    /// ended meanwhile.
    /// Several may be outstanding; more than 8 wait for their turn.
    boost::asio::awaitable<boost::json::value> execute(Command command,
                                                       OnCancel mode = OnCancel::abandon);

    /// The two halves of execute(), to have several commands on their way at once: QEMU works them
    /// off in order, and the second one's answer costs no round trip of its own. The deadline
    /// counts from finish(). A Submitted that is dropped unfinished abandons its command.
    Submitted submit(Command command);
    boost::asio::awaitable<boost::json::value> finish(Submitted submitted,
                                                      OnCancel mode = OnCancel::abandon);

    /// To be called *before* writing the command whose event is waited for: the event may precede
    /// the reply. The predicate runs on the executor for each event and must not throw.
    EventWaiter arm(std::function<bool(const Event&)> accept);

    /// Called for each event, after the waiters; for removals nobody asked for. One handler.
    void on_event(EventHandler handler);
    /// Called once when the connection is lost, not when close() is called.
    void on_lost(LostHandler handler);
    /// Called when the oldest command has been unanswered for timeouts().unresponsive, once, and
    /// again when QEMU answers. Between the two state() is unresponsive; nothing else differs:
    /// commands have deadlines of their own.
    void on_state(StateHandler handler);

    /// Ends the connection; whatever waits fails with cancelled.
    void close();

    /// Commands may be sent: state() is running or unresponsive.
    bool running() const noexcept;
    SessionState state() const noexcept;
    /// Lost right behind a guest reset: QEMU has ended, see SessionFsm::crashed().
    bool crashed() const noexcept;
    /// Why it is not running any more; nullopt while it is.
    std::optional<Failure> lost() const;
    const Greeting& greeting() const noexcept;
    const Timeouts& timeouts() const noexcept;
    /// The socket's path, or "fd N".
    const std::string& where() const noexcept;
    /// The process that made the listening socket (SO_PEERCRED; QEMU itself with -qmp unix:), as
    /// this pid namespace sees it; 0 when it can't be told.
    std::int64_t peer_pid() const noexcept;
    const Multiplexer::Counters& counters() const noexcept;

    class Impl;
    explicit Session(std::shared_ptr<Impl> impl);

  private:
    std::shared_ptr<Impl> impl_;
};

/// Session::finish() of a query whose answer is optional: null where QEMU refuses it or has no such
/// command. The session has to outlive it.
boost::asio::awaitable<boost::json::value> finish_or_null(Session& session, Submitted submitted);

} // namespace kata_vfio::qemu
