// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/session.hpp"

#include "qemu/qmp/event_bus.hpp"
#include "qemu/qmp/session_fsm.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <map>

namespace kata_vfio::qemu {
namespace asio = boost::asio;
namespace json = boost::json;
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto use_tuple = asio::as_tuple(asio::use_awaitable);

/// connect(2) on a non-blocking AF_UNIX socket never takes time: it succeeds, or a full backlog
/// is EAGAIN. Asio 1.81's async_connect turns that EAGAIN into a success without a connection
/// (chriskohlhoff/asio#1365), so it is not used.
event::ConnectReturned connect_now(int fd, const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return {ENAMETOOLONG, false};
    std::memcpy(address.sun_path, path.data(), path.size());
    int rc;
    do
        rc = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    while (rc != 0 && errno == EINTR);
    return {rc == 0 ? 0 : errno, rc == 0};
}

bool has_peer(int fd) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    return ::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
}

} // namespace

/// Shared by the Session, its reader and the coroutines that wait: all of them may end last.
class Session::Impl : public std::enable_shared_from_this<Impl> {
  public:
    Impl(const asio::any_io_executor& executor, std::string where, const Timeouts& timeouts,
         WireTap tap, FrameLimits limits)
        : socket_(executor), ready_(executor), fsm_(std::move(where), timeouts.greeting),
          splitter_(limits), bus_(executor), timeouts_(timeouts), tap_(std::move(tap)) {}

    asio::awaitable<void> open(event::ConnectReturned connected);
    asio::awaitable<json::value> execute(Command command, OnCancel mode);
    void close() { act(fsm_.resume(event::Closed{})); }

    asio::local::stream_protocol::socket socket_;
    /// Expires with the greeting deadline; cancelled when the handshake has ended either way.
    asio::steady_timer ready_;
    SessionFsm fsm_;
    FrameSplitter splitter_;
    Multiplexer multiplexer_;
    EventBus bus_;
    Timeouts timeouts_;
    WireTap tap_;
    EventHandler on_event_;
    LostHandler on_lost_;

  private:
    /// A command somebody waits for: the timer is its deadline and, cancelled, its wake-up.
    struct Pending {
        explicit Pending(const asio::any_io_executor& executor) : timer(executor) {}
        asio::steady_timer timer;
        std::optional<CommandResult> result;
    };

    static asio::awaitable<void> read(std::shared_ptr<Impl> self);
    void consume(std::string_view bytes);
    void act(SessionAction action, Message* message = nullptr);
    void complete(Message message);
    void deliver(const Event& event);
    void lose();
    void flush();
    void send(std::string bytes);
    Failure timeout_failure(const Command& command, CommandId id) const;
    Failure lost_failure(const std::string& command) const;

    std::map<CommandId, std::shared_ptr<Pending>> pending_;
    std::string out_; ///< what is being written; empty = no write is going on
    std::array<char, 8192> in_;
};

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
    auto outcome = multiplexer_.consume(std::move(message));
    if (auto* completed = std::get_if<Multiplexer::Completed>(&outcome)) {
        const auto found = pending_.find(completed->id);
        if (found != pending_.end()) {
            found->second->result = std::move(completed->result);
            found->second->timer.cancel();
            pending_.erase(found);
        }
    }
    flush();
}

void Session::Impl::lose() {
    boost::system::error_code ignored; // the socket is given up, whatever it says
    socket_.close(ignored);
    ready_.cancel();
    (void)multiplexer_.fail_all(); // pending_ knows them with their waiters
    for (auto& [id, pending] : std::exchange(pending_, {}))
        pending->timer.cancel();
    bus_.close(*fsm_.why());
    if (fsm_.why()->code() != Errc::cancelled)
        if (const auto handler = std::exchange(on_lost_, nullptr))
            handler(*fsm_.why());
}

void Session::Impl::flush() {
    if (!out_.empty() || fsm_.state() != SessionState::running)
        return;
    auto bytes = multiplexer_.prepare_write();
    if (!bytes.empty())
        send(std::move(bytes));
}

void Session::Impl::send(std::string bytes) {
    out_ = std::move(bytes);
    if (tap_)
        tap_(WireDirection::sent, out_);
    const bool commands = fsm_.state() == SessionState::running;
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
    asio::async_write(socket_, asio::buffer(out_), std::move(written));
}

Failure Session::Impl::lost_failure(const std::string& command) const {
    Failure failure = *fsm_.why();
    failure.during(command);
    return failure;
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

asio::awaitable<json::value> Session::Impl::execute(Command command, OnCancel mode) {
    const auto self = shared_from_this();
    if (fsm_.state() == SessionState::lost)
        throw lost_failure(command.name);

    const auto state = co_await asio::this_coro::cancellation_state;
    const auto cancelled = [&state, mode] {
        return mode == OnCancel::abandon && state.cancelled() != asio::cancellation_type::none;
    };
    if (cancelled()) // before this call: then it must not be sent at all
        throw Failure(Errc::cancelled, command.name + " was cancelled");

    const auto id = multiplexer_.submit(command);
    const auto pending = std::make_shared<Pending>(socket_.get_executor());
    pending->timer.expires_after(timeouts_.of(command.cls));
    pending_.emplace(id, pending);
    flush();

    const bool throwing = co_await asio::this_coro::throw_if_cancelled();
    co_await asio::this_coro::throw_if_cancelled(false);
    bool expired = false;
    while (!pending->result && !expired && !cancelled() && fsm_.state() != SessionState::lost) {
        const auto [error] = co_await pending->timer.async_wait(use_tuple);
        expired = !error;
    }
    co_await asio::this_coro::throw_if_cancelled(throwing);

    if (pending->result) {
        if (auto* value = std::get_if<json::value>(&*pending->result))
            co_return std::move(*value);
        if (auto* refused = std::get_if<QmpFailure>(&*pending->result))
            throw std::move(*refused);
        throw std::get<Failure>(std::move(*pending->result));
    }
    if (fsm_.state() == SessionState::lost)
        throw lost_failure(command.name);
    const auto timeout = timeout_failure(command, id);
    pending_.erase(id);
    multiplexer_.abandon(id);
    if (expired)
        throw timeout;
    throw Failure(Errc::cancelled, command.name + " was cancelled");
}

asio::awaitable<std::shared_ptr<Session>>
Session::connect(std::string socket_path, Timeouts timeouts, WireTap tap, FrameLimits limits) {
    const auto executor = co_await asio::this_coro::executor;
    const auto impl =
        std::make_shared<Impl>(executor, socket_path, timeouts, std::move(tap), limits);
    const auto session = std::make_shared<Session>(impl);
    impl->socket_.open(asio::local::stream_protocol());
    impl->socket_.non_blocking(true);
    const auto connected = connect_now(impl->socket_.native_handle(), socket_path);
    co_await impl->open(connected);
    co_return session;
}

asio::awaitable<std::shared_ptr<Session>> Session::from_fd(UniqueFd fd, Timeouts timeouts,
                                                           WireTap tap, FrameLimits limits) {
    const auto executor = co_await asio::this_coro::executor;
    const auto impl = std::make_shared<Impl>(executor, "fd " + std::to_string(fd.get()), timeouts,
                                             std::move(tap), limits);
    const auto session = std::make_shared<Session>(impl);
    event::ConnectReturned connected;
    connected.has_peer = true;
    boost::system::error_code error;
    if (has_peer(fd.get()))
        impl->socket_.assign(asio::local::stream_protocol(), fd.get(), error);
    else
        connected.error = errno;
    if (error)
        connected.error = error.value();
    if (connected.error == 0)
        (void)fd.release();
    co_await impl->open(connected);
    co_return session;
}

Session::Session(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

Session::~Session() {
    impl_->close();
}

asio::awaitable<json::value> Session::execute(Command command, OnCancel mode) {
    return impl_->execute(std::move(command), mode);
}

EventWaiter Session::arm(std::function<bool(const Event&)> accept) {
    return EventWaiter(impl_->bus_.subscribe(std::move(accept)));
}

void Session::on_event(EventHandler handler) {
    impl_->on_event_ = std::move(handler);
}

void Session::on_lost(LostHandler handler) {
    impl_->on_lost_ = std::move(handler);
}

void Session::close() {
    impl_->close();
}

bool Session::running() const noexcept {
    return impl_->fsm_.state() == SessionState::running;
}

std::optional<Failure> Session::lost() const {
    return impl_->fsm_.why();
}

const Greeting& Session::greeting() const noexcept {
    return *impl_->fsm_.greeting();
}

const Timeouts& Session::timeouts() const noexcept {
    return impl_->timeouts_;
}

std::int64_t Session::peer_pid() const noexcept {
    ucred peer{};
    socklen_t size = sizeof peer;
    const int fd = impl_->socket_.native_handle();
    return ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 ? peer.pid : 0;
}

const std::string& Session::where() const noexcept {
    return impl_->fsm_.where();
}

const Multiplexer::Counters& Session::counters() const noexcept {
    return impl_->multiplexer_.counters();
}

} // namespace kata_vfio::qemu
