// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/session_fsm.hpp"

#include "config/base/overloaded.hpp"
#include "config/base/text.hpp"

#include <cerrno>
#include <cstring>
#include <ostream>

namespace kata_vfio::qemu {
namespace {

Failure connect_failure(int error, const std::string& where) {
    switch (error) {
    case ENOENT:
    case ENOTDIR: {
        Failure failure(Errc::monitor_missing, "there is no QMP socket " + where);
        failure.sys(error).remedy(
            "start QEMU with -qmp unix:PATH,server=on,wait=off, and give that path");
        return failure;
    }
    case ECONNREFUSED: {
        Failure failure(Errc::monitor_refused, "nobody listens on the QMP socket " + where);
        failure.sys(error).remedy("the QEMU that made it has ended: kata-vfio sandbox release ID "
                                  "gives back what a sandbox had in it");
        return failure;
    }
    case EAGAIN: {
        Failure failure(Errc::monitor_busy, "the QMP monitor " + where + " is busy");
        failure.blocked_by("another client holds the monitor, and more wait for it")
            .remedy(
                "a monitor serves one client: disconnect the other, or give QEMU a second -qmp");
        return failure;
    }
    case ENAMETOOLONG: {
        Failure failure(Errc::invalid_argument,
                        "the QMP socket's path is longer than the 107 bytes a unix socket's may "
                        "have: " +
                            where);
        failure.remedy("give QEMU a shorter -qmp unix:PATH, or a shorter link to its directory");
        return failure;
    }
    case EACCES:
    case EPERM:
        break;
    case EPROTOTYPE: {
        Failure failure(Errc::not_qmp, where + " is no stream socket");
        failure.sys(error);
        return failure;
    }
    default: {
        Failure failure(Errc::monitor_refused, "can't connect to the QMP socket " + where);
        failure.sys(error);
        return failure;
    }
    }
    Failure failure(Errc::permission_denied, "can't connect to the QMP socket " + where);
    failure.sys(error).remedy("run as the user that QEMU's socket belongs to");
    return failure;
}

Failure not_qmp(const std::string& where, std::string_view got) {
    Failure failure(Errc::not_qmp,
                    where + " does not speak QMP: instead of a greeting it sent " + quoted(got));
    failure.remedy(
        "give the socket of QEMU's -qmp (mode=control), not of -monitor, a console or the "
        "guest agent");
    return failure;
}

/// The proxy says so to a client it has no place for; QEMU itself would let it wait.
Failure turned_away(const std::string& where, const ErrorReply& error) {
    Failure failure(Errc::monitor_busy, "connected to " + where + ", but it takes no more clients");
    failure.said(error.desc)
        .remedy("end one that is connected to it: kata-vfio qmp, events and top, streams of "
                "kata-vfiod's Qmp.Events, or a debugger");
    return failure;
}

} // namespace

std::ostream& operator<<(std::ostream& out, SessionState state) {
    switch (state) {
    case SessionState::connecting:
        return out << "connecting";
    case SessionState::awaiting_greeting:
        return out << "awaiting_greeting";
    case SessionState::negotiating:
        return out << "negotiating";
    case SessionState::running:
        return out << "running";
    case SessionState::unresponsive:
        return out << "unresponsive";
    case SessionState::lost:
        return out << "lost";
    }
    return out << "SessionState(" << static_cast<int>(state) << ')';
}

std::ostream& operator<<(std::ostream& out, SessionAction action) {
    switch (action) {
    case SessionAction::none:
        return out << "none";
    case SessionAction::start_reading:
        return out << "start_reading";
    case SessionAction::send_capabilities:
        return out << "send_capabilities";
    case SessionAction::become_ready:
        return out << "become_ready";
    case SessionAction::deliver_event:
        return out << "deliver_event";
    case SessionAction::to_multiplexer:
        return out << "to_multiplexer";
    case SessionAction::tell_state:
        return out << "tell_state";
    case SessionAction::fail:
        return out << "fail";
    }
    return out << "SessionAction(" << static_cast<int>(action) << ')';
}

SessionFsm::SessionFsm(std::string where, std::chrono::milliseconds greeting_timeout)
    : where_(std::move(where)), greeting_timeout_(greeting_timeout) {}

std::string_view SessionFsm::capabilities_line() noexcept {
    return "{\"execute\":\"qmp_capabilities\",\"id\":0}\n";
}

SessionAction SessionFsm::fail(Failure why) {
    state_ = SessionState::lost;
    why_ = std::move(why);
    return SessionAction::fail;
}

SessionAction SessionFsm::resume(const SessionEvent& event) {
    if (state_ == SessionState::lost)
        return SessionAction::none;
    return std::visit(Overloaded{
                          [this](const event::ConnectReturned& e) { return connected(e); },
                          [this](const event::Received& e) { return received(e); },
                          [this](const event::Unframed& e) {
                              if (!open())
                                  return fail(not_qmp(where_, e.frame.text));
                              return SessionAction::to_multiplexer;
                          },
                          [this](const event::DeadlinePassed& e) { return deadline_passed(e); },
                          [this](const event::Disconnected& e) { return disconnected(e); },
                          [this](const event::Overdue&) {
                              if (state_ != SessionState::running)
                                  return SessionAction::none;
                              state_ = SessionState::unresponsive;
                              return SessionAction::tell_state;
                          },
                          [this](const event::Answering&) {
                              if (state_ != SessionState::unresponsive)
                                  return SessionAction::none;
                              state_ = SessionState::running;
                              return SessionAction::tell_state;
                          },
                          [this](const event::Closed&) {
                              return fail(Failure(Errc::cancelled,
                                                  "the QMP session on " + where_ + " was closed"));
                          },
                      },
                      event);
}

SessionAction SessionFsm::connected(const event::ConnectReturned& event) {
    if (event.error != 0)
        return fail(connect_failure(event.error, where_));
    if (!event.has_peer)
        return fail(connect_failure(EAGAIN, where_));
    state_ = SessionState::awaiting_greeting;
    return SessionAction::start_reading;
}

SessionAction SessionFsm::received(const event::Received& received) {
    const Message& message = *received.message;
    // QEMU may emit an event before its greeting and before it has answered qmp_capabilities.
    if (const auto* event = std::get_if<Event>(&message)) {
        last_event_ = event->name.substr(0, 64); // for a text; the peer may send megabytes
        return SessionAction::deliver_event;
    }
    return open() ? SessionAction::to_multiplexer : handshake(received);
}

SessionAction SessionFsm::handshake(const event::Received& received) {
    const Message& message = *received.message;
    if (state_ == SessionState::awaiting_greeting) {
        if (const auto* error = std::get_if<ErrorReply>(&message))
            return fail(turned_away(where_, *error));
        const auto* greeting = std::get_if<Greeting>(&message);
        if (!greeting)
            return fail(not_qmp(where_, received.text));
        greeting_ = *greeting;
        state_ = SessionState::negotiating;
        return SessionAction::send_capabilities;
    }
    if (const auto* error = std::get_if<ErrorReply>(&message)) {
        Failure failure(Errc::qmp_protocol, "QEMU refused qmp_capabilities on " + where_);
        failure.said(error->desc).remedy("hand over a connection that nobody has used");
        return fail(std::move(failure));
    }
    if (const auto* reply = std::get_if<Reply>(&message)) {
        if (!reply->id || *reply->id != 0)
            return SessionAction::none; // an answer to a client before us
        state_ = SessionState::running;
        return SessionAction::become_ready;
    }
    if (std::holds_alternative<Greeting>(message))
        return SessionAction::none;
    Failure failure(Errc::qmp_protocol, "the answer to qmp_capabilities is unusable");
    failure.said(quoted(received.text));
    return fail(std::move(failure));
}

SessionAction SessionFsm::deadline_passed(const event::DeadlinePassed& event) {
    if (open())
        return SessionAction::none;
    const auto within = " within " + std::to_string(greeting_timeout_.count()) + " ms";
    if (state_ == SessionState::negotiating) {
        Failure failure(Errc::qmp_timeout, "QEMU did not answer qmp_capabilities" + within);
        failure.remedy("see whether the QEMU process is stopped or its host overloaded");
        return fail(std::move(failure));
    }
    if (!event.partial.empty())
        return fail(not_qmp(where_, event.partial));
    Failure failure(Errc::monitor_busy, "connected to " + where_ + ", but no greeting" + within);
    failure.blocked_by("another client holds the monitor, or QEMU hangs")
        .remedy("a monitor serves one client: disconnect the other, or give QEMU a second -qmp");
    return fail(std::move(failure));
}

SessionAction SessionFsm::disconnected(const event::Disconnected& event) {
    const char* when = state_ == SessionState::awaiting_greeting ? " before its greeting"
                       : state_ == SessionState::negotiating     ? " during the negotiation"
                                                                 : "";
    std::string text = "QEMU closed the connection on " + where_ + when;
    if (!last_event_.empty())
        text += ", its last event was " + last_event_;
    if (!event.partial.empty())
        text += ", in the middle of " + quoted(event.partial);
    Failure failure(Errc::qemu_gone, std::move(text));
    if (event.error != 0)
        failure.sys(event.error);
    // Rebooting a guest with a device pending removal makes QEMU 9 and later abort.
    crashed_ = last_event_ == "RESET";
    failure.remedy(crashed_ ? "QEMU ended right after a guest reset, which is a crash: see its log"
                            : "see QEMU's log for why it ended");
    return fail(std::move(failure));
}

} // namespace kata_vfio::qemu
