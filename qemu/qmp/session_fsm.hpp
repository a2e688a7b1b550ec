// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"
#include "qemu/qmp/frame.hpp"
#include "qemu/qmp/message.hpp"

#include <chrono>
#include <cstddef>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace kata_vfio::qemu {

/// Named after what is waited for.
enum class SessionState {
    connecting,
    awaiting_greeting,
    negotiating, ///< qmp_capabilities is out
    running,
    unresponsive, ///< running, but the oldest command's answer is overdue: see Watchdog
    lost,         ///< final; SessionFsm::why() says how it came to that
};
std::ostream& operator<<(std::ostream& out, SessionState state);

namespace event {
/// connect(2) came back. `error` is 0 or its errno. `has_peer` is whether getpeername(2) works: on
/// AF_UNIX with a full backlog Asio 1.81 reports success though nothing is connected
/// (chriskohlhoff/asio#1365).
struct ConnectReturned {
    int error = 0;
    bool has_peer = true;
};
struct Received {
    const Message* message;
    std::string_view text; ///< as it came, to quote it when it is not what it should be
};
/// The stream holds what can't be framed.
struct Unframed {
    Frame frame;
};
/// The greeting deadline passed. `partial` is what arrived of an incomplete message.
struct DeadlinePassed {
    std::string_view partial;
};
/// Reading or writing ended; error is 0 for EOF.
struct Disconnected {
    int error = 0;
    std::string_view partial;
};
/// The Watchdog's findings.
struct Overdue {};
struct Answering {};
/// Our own side has closed it.
struct Closed {};
} // namespace event

using SessionEvent =
    std::variant<event::ConnectReturned, event::Received, event::Unframed, event::DeadlinePassed,
                 event::Disconnected, event::Overdue, event::Answering, event::Closed>;

enum class SessionAction {
    none,
    start_reading,     ///< connected: read, and give the peer until the greeting deadline
    send_capabilities, ///< write capabilities_line()
    become_ready,      ///< negotiated: stop the deadline, commands may go
    deliver_event,     ///< an event outside of running: subscribers get it all the same
    to_multiplexer,    ///< running: the message belongs to the commands
    tell_state,        ///< it has become unresponsive, or answers again
    fail,              ///< why() is set: close the socket, fail whatever waits
};
std::ostream& operator<<(std::ostream& out, SessionAction action);

/// One connection's life, from connect to lost. Pure: no socket, no timer. Single-threaded.
class SessionFsm {
  public:
    /// `where` names the monitor in texts, e.g. the socket's path.
    SessionFsm(std::string where, std::chrono::milliseconds greeting_timeout);

    SessionAction resume(const SessionEvent& event);

    SessionState state() const noexcept { return state_; }
    /// Negotiated and not lost: commands may go, to an unresponsive QEMU too.
    bool open() const noexcept {
        return state_ == SessionState::running || state_ == SessionState::unresponsive;
    }
    /// The connection ended right behind a guest reset: QEMU aborted (hw/core/resetcontainer.c),
    /// or was told to end (-no-reboot). It is not coming back.
    bool crashed() const noexcept { return crashed_; }
    const std::optional<Greeting>& greeting() const noexcept { return greeting_; }
    /// Set once lost: why.
    const std::optional<Failure>& why() const noexcept { return why_; }
    const std::string& where() const noexcept { return where_; }

    /// `{"execute":"qmp_capabilities","id":0}`: no capability is enabled. Out-of-band would buy
    /// nothing: device_add is not oob-capable in any QEMU.
    static std::string_view capabilities_line() noexcept;

  private:
    SessionAction connected(const event::ConnectReturned& event);
    SessionAction received(const event::Received& event);
    SessionAction handshake(const event::Received& event);
    SessionAction deadline_passed(const event::DeadlinePassed& event);
    SessionAction disconnected(const event::Disconnected& event);
    SessionAction fail(Failure why);

    std::string where_;
    std::chrono::milliseconds greeting_timeout_;
    SessionState state_ = SessionState::connecting;
    std::optional<Greeting> greeting_;
    std::optional<Failure> why_;
    std::string last_event_;
    bool crashed_ = false;
};

} // namespace kata_vfio::qemu
