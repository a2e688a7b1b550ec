// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/session_impl.hpp"

#include "qemu/use_tuple.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>

namespace kata_vfio::qemu {
namespace asio = boost::asio;
namespace json = boost::json;
namespace {} // namespace

asio::awaitable<void> Session::Impl::open(event::ConnectReturned connected) {
    const auto self = shared_from_this();
    ready_.expires_after(timeouts_.greeting);
    act(fsm_.resume(connected));
    if (fsm_.state() != SessionState::lost) {
        asio::co_spawn(socket_.get_executor(), read(self), asio::detached);
        const auto [error] = co_await ready_.async_wait(use_tuple);
        if (!error)
            act(fsm_.resume(event::DeadlinePassed{splitter_.partial()}));
    }
    if (fsm_.state() == SessionState::lost)
        throw *fsm_.why();
    if (fsm_.state() != SessionState::running) {
        close();
        throw Failure(Errc::cancelled, "connecting to " + fsm_.where() + " was cancelled");
    }
}

asio::awaitable<void> Session::Impl::read(std::shared_ptr<Impl> self) {
    while (self->fsm_.state() != SessionState::lost) {
        const auto [error, size] =
            co_await self->socket_.async_read_some(asio::buffer(self->in_), use_tuple);
        if (error) {
            const int number = error == asio::error::eof ? 0 : error.value();
            self->act(self->fsm_.resume(event::Disconnected{number, self->splitter_.partial()}));
        } else {
            self->consume(std::string_view(self->in_.data(), size));
        }
    }
}

void Session::Impl::consume(std::string_view bytes) {
    if (tap_)
        tap_(WireDirection::received, bytes);
    splitter_.feed(bytes);
    while (fsm_.state() != SessionState::lost) {
        const auto frame = splitter_.next();
        if (!frame)
            return;
        if (frame->fault == FrameFault::none) {
            auto message = parse_message(frame->text);
            const auto action = fsm_.resume(event::Received{&message, frame->text});
            act(action, &message);
            continue;
        }
        BadMessage bad;
        bad.why = frame->fault == FrameFault::too_long   ? "longer than our limit"
                  : frame->fault == FrameFault::too_deep ? "nested deeper than our limit"
                                                         : "not JSON";
        bad.text = std::string(frame->text.substr(0, 256));
        Message message = std::move(bad);
        act(fsm_.resume(event::Unframed{*frame}), &message);
    }
}

void Session::Impl::act(SessionAction action, Message* message) {
    switch (action) {
    case SessionAction::none:
    case SessionAction::start_reading:
        break;
    case SessionAction::send_capabilities:
        send(std::string(SessionFsm::capabilities_line()));
        break;
    case SessionAction::become_ready:
        ready_.cancel();
        break;
    case SessionAction::deliver_event:
        deliver(std::get<Event>(*message));
        break;
    case SessionAction::to_multiplexer:
        complete(std::move(*message));
        break;
    case SessionAction::tell_state:
        tell_state();
        break;
    case SessionAction::fail:
        lose();
        break;
    }
}

void Session::Impl::deliver(const Event& event) {
    bus_.publish(event);
    if (const auto handler = on_event_) // a copy: the handler may replace itself
        handler(event);
}

void Session::Impl::complete(Message message) {
    const auto before = multiplexer_.in_flight();
    auto outcome = multiplexer_.consume(std::move(message));
    if (auto* completed = std::get_if<Multiplexer::Completed>(&outcome)) {
        const auto found = pending_.find(completed->id);
        if (found != pending_.end()) {
            found->second->result = std::move(completed->result);
            found->second->timer.cancel();
            pending_.erase(found);
        }
    }
    if (multiplexer_.in_flight() < before &&
        watchdog_.answered(multiplexer_.in_flight(), Watchdog::Clock::now()) ==
            Watchdog::Change::answering)
        act(fsm_.resume(event::Answering{}));
    flush();
    watch();
}

void Session::Impl::watch() {
    const auto until = watchdog_.wake_at();
    if (watching_ || !until || !fsm_.open())
        return;
    watching_ = true;
    watch_.expires_at(*until);
    // Weak: a session nobody holds must end, not wait for its watchdog.
    watch_.async_wait([weak = weak_from_this()](boost::system::error_code error) {
        const auto self = weak.lock();
        if (!self)
            return;
        self->watching_ = false;
        if (error)
            return;
        if (self->watchdog_.time_passed(Watchdog::Clock::now()) == Watchdog::Change::unresponsive)
            self->act(self->fsm_.resume(event::Overdue{}));
        self->watch();
    });
}

void Session::Impl::tell_state() {
    const auto handler = on_state_;
    if (!handler)
        return;
    std::string text = "QEMU's monitor " + fsm_.where();
    if (fsm_.state() == SessionState::unresponsive)
        text += " has not answered " + multiplexer_.oldest_in_flight() + " for " +
                std::to_string(watchdog_.limit().count()) +
                " ms: the process may be stopped, or its host overloaded";
    else
        text += " answers again";
    handler(fsm_.state(), text);
}

void Session::Impl::lose() {
    boost::system::error_code ignored; // the socket is given up, whatever it says
    socket_.close(ignored);
    ready_.cancel();
    watch_.cancel();
    for (auto& [id, pending] : std::exchange(pending_, {})) {
        pending->sent = !multiplexer_.unsent(id);
        pending->timer.cancel();
    }
    (void)multiplexer_.fail_all(); // pending_ knew them with their waiters
    bus_.close(*fsm_.why());
    if (fsm_.why()->code() != Errc::cancelled)
        if (const auto handler = std::exchange(on_lost_, nullptr))
            handler(*fsm_.why());
}

void Session::Impl::flush() {
    if (!out_.empty() || !fsm_.open())
        return;
    auto bytes = multiplexer_.prepare_write();
    if (bytes.empty())
        return;
    watchdog_.wrote(multiplexer_.in_flight(), Watchdog::Clock::now());
    send(std::move(bytes), multiplexer_.take_fd());
    watch();
}

void Session::Impl::send(std::string bytes, std::shared_ptr<const UniqueFd> fd) {
    out_ = std::move(bytes);
    if (tap_)
        tap_(WireDirection::sent, out_);
    if (fd)
        send_fd(std::move(fd));
    else
        send_from(0);
}

/// The descriptor goes with what the kernel takes of the bytes at once, at least the first.
void Session::Impl::send_fd(std::shared_ptr<const UniqueFd> fd) {
    iovec bytes{out_.data(), out_.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &bytes;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    auto* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    const int number = fd->get();
    std::memcpy(CMSG_DATA(header), &number, sizeof number);
    ssize_t sent;
    do
        sent = ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    if (sent > 0)
        return send_from(static_cast<std::size_t>(sent));
    if (errno == EAGAIN) {
        auto writable = [self = shared_from_this(), fd](boost::system::error_code error) {
            if (!error && self->fsm_.state() != SessionState::lost)
                self->send_fd(fd);
        };
        socket_.async_wait(boost::asio::local::stream_protocol::socket::wait_write,
                           std::move(writable));
        return;
    }
    if (errno == EPIPE || errno == ECONNRESET)
        return; // the reader sees the end too, and behind what QEMU said last
    // It would never go, and all behind it wait: EBADF, ETOOMANYREFS, ..
    act(fsm_.resume(event::Disconnected{errno, splitter_.partial()}));
}

void Session::Impl::send_from(std::size_t offset) {
    const bool commands = fsm_.open();
    auto written = [self = shared_from_this(), commands](boost::system::error_code error,
                                                         std::size_t) {
        // After an error out_ stays, so that nothing more is written. The reader sees the end too,
        // and behind what QEMU said last.
        if (error || self->fsm_.state() == SessionState::lost)
            return;
        self->out_.clear();
        if (commands)
            self->multiplexer_.commit_write();
        self->flush();
    };
    asio::async_write(socket_, asio::buffer(std::string_view(out_).substr(offset)),
                      std::move(written));
}

Failure Session::Impl::timeout_failure(const Command& command, CommandId id) const {
    Failure failure(Errc::qmp_timeout, "QEMU did not answer " + command.name + " within " +
                                           std::to_string(timeouts_.of(command.cls).count()) +
                                           " ms");
    if (multiplexer_.unsent(id))
        failure.blocked_by(std::to_string(multiplexer_.in_flight()) +
                           " earlier commands QEMU has not answered, the oldest " +
                           multiplexer_.oldest_in_flight());
    else if (multiplexer_.oldest_in_flight() != command.name)
        failure.blocked_by(multiplexer_.oldest_in_flight() + ", which QEMU has not answered yet");
    failure.remedy("see whether the QEMU process is stopped (SIGSTOP) or its host overloaded");
    return failure;
}

std::shared_ptr<Submitted::State> Session::Impl::submit(Command command) {
    auto submitted = std::make_shared<Submitted::State>(shared_from_this(), socket_.get_executor(),
                                                        std::move(command));
    // Here it is known by its name; the descriptor goes with the multiplexer's line.
    auto fd = std::exchange(submitted->command.fd, nullptr);
    if (fsm_.state() == SessionState::lost)
        return submitted;
    if (fd && ::fcntl(fd->get(), F_GETFD) < 0) { // found out by sendmsg it would cost the session
        submitted->result = Failure(Errc::invalid_argument,
                                    submitted->command.name + " was given no open descriptor");
        return submitted;
    }
    submitted->command.fd = std::move(fd);
    submitted->id = multiplexer_.submit(submitted->command);
    submitted->command.fd = nullptr;
    pending_.emplace(submitted->id, submitted);
    flush();
    return submitted;
}

void Session::Impl::abandon(const Submitted::State& submitted) {
    if (pending_.erase(submitted.id) > 0)
        multiplexer_.abandon(submitted.id);
}

asio::awaitable<json::value> Session::Impl::finish(std::shared_ptr<Submitted::State> submitted,
                                                   OnCancel mode) {
    const auto self = shared_from_this();
    const auto& command = submitted->command;
    const auto state = co_await asio::this_coro::cancellation_state;
    const auto given_up = [&state, mode] {
        return mode == OnCancel::abandon && state.cancelled() != asio::cancellation_type::none;
    };
    submitted->timer.expires_after(timeouts_.of(command.cls));
    const bool throwing = co_await asio::this_coro::throw_if_cancelled();
    co_await asio::this_coro::throw_if_cancelled(false);
    bool expired = false;
    while (!submitted->result && !expired && !given_up() && fsm_.state() != SessionState::lost) {
        const auto [error] = co_await submitted->timer.async_wait(use_tuple);
        expired = !error;
    }
    co_await asio::this_coro::throw_if_cancelled(throwing);

    if (submitted->result) {
        if (auto* value = std::get_if<json::value>(&*submitted->result))
            co_return std::move(*value);
        if (auto* refused = std::get_if<QmpFailure>(&*submitted->result))
            throw std::move(*refused);
        throw std::get<Failure>(std::move(*submitted->result));
    }
    if (fsm_.state() == SessionState::lost) {
        if (fsm_.why()->code() == Errc::cancelled)
            throw Failure(*fsm_.why()).during(command.name);
        throw CommandLost(*fsm_.why(), fsm_.where(), command.name, submitted->sent);
    }
    const auto timeout = timeout_failure(command, submitted->id);
    abandon(*submitted);
    if (expired)
        throw timeout;
    throw Failure(Errc::cancelled, command.name + " was cancelled");
}

} // namespace kata_vfio::qemu
