// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/session.hpp"

#include "config/base/file_kind.hpp"
#include "qemu/qmp/session_impl.hpp"

#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

namespace kata_vfio::qemu {
namespace asio = boost::asio;
namespace json = boost::json;
namespace {

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

/// connect(2) refuses what is no socket as it does a socket that nobody listens on: only a look at
/// the path tells them apart.
std::optional<Failure> no_socket(const std::string& path) {
    const auto kind = kind_of_file(std::filesystem::path(path));
    if (kind.empty() || kind == "a socket")
        return std::nullopt;
    return Failure(Errc::not_qmp, path + " is " + std::string(kind) + ", not a QMP socket")
        .remedy("give the socket itself, the PATH of QEMU's -qmp unix:PATH,server=on,wait=off (for "
                "Kata /run/vc/vm/ID/extra-monitor.sock)");
}

bool has_peer(int fd) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    return ::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
}

} // namespace

asio::awaitable<std::shared_ptr<Session>>
Session::connect(std::string socket_path, Timeouts timeouts, WireTap tap, FrameLimits limits) {
    const auto executor = co_await asio::this_coro::executor;
    const auto impl =
        std::make_shared<Impl>(executor, socket_path, timeouts, std::move(tap), limits);
    const auto session = std::make_shared<Session>(impl);
    impl->socket_.open(asio::local::stream_protocol());
    impl->socket_.non_blocking(true);
    const auto connected = connect_now(impl->socket_.native_handle(), socket_path);
    if (connected.error == ECONNREFUSED)
        if (const auto refused = no_socket(socket_path))
            throw Failure(*refused);
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
    const auto state = co_await asio::this_coro::cancellation_state;
    // Cancelled before this call: then it must not be sent at all.
    if (mode == OnCancel::abandon && state.cancelled() != asio::cancellation_type::none)
        throw Failure(Errc::cancelled, command.name + " was cancelled");
    auto submitted = submit(std::move(command));
    co_return co_await finish(std::move(submitted), mode);
}

Submitted Session::submit(Command command) {
    return Submitted(impl_->submit(std::move(command)));
}

asio::awaitable<json::value> Session::finish(Submitted submitted, OnCancel mode) {
    return impl_->finish(std::move(submitted.state_), mode);
}

Submitted::Submitted(std::shared_ptr<State> state) : state_(std::move(state)) {}
Submitted::Submitted(Submitted&&) noexcept = default;
Submitted& Submitted::operator=(Submitted&& other) noexcept {
    std::swap(state_, other.state_);
    return *this;
}
Submitted::~Submitted() {
    if (state_)
        state_->impl->abandon(*state_);
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

void Session::on_state(StateHandler handler) {
    impl_->on_state_ = std::move(handler);
}

void Session::close() {
    impl_->close();
}

bool Session::running() const noexcept {
    return impl_->fsm_.open();
}

SessionState Session::state() const noexcept {
    return impl_->fsm_.state();
}

bool Session::crashed() const noexcept {
    return impl_->fsm_.crashed();
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

asio::awaitable<boost::json::value> finish_or_null(Session& session, Submitted submitted) {
    try {
        co_return co_await session.finish(std::move(submitted));
    } catch (const QmpFailure&) {
    }
    co_return nullptr;
}

} // namespace kata_vfio::qemu
