// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/proxy/proxy.hpp"

#include "config/base/failure.hpp"
#include "qemu/qmp/error.hpp"
#include "qemu/qmp/proxy/receive.hpp"
#include "qemu/use_tuple.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <map>
#include <optional>
#include <utility>

namespace kata_vfio::qemu {
namespace asio = boost::asio;
namespace json = boost::json;
namespace {

using Socket = asio::local::stream_protocol::socket;

bool may_connect(int fd) {
    ucred peer{};
    socklen_t size = sizeof peer;
    return ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == 0 || peer.uid == ::geteuid());
}

/// After its EOF: the client has not only said its last, it does not listen any more either.
bool hung_up(int fd) {
    pollfd state{fd, 0, 0};
    return ::poll(&state, 1, 0) == 1 && (state.revents & (POLLHUP | POLLERR)) != 0;
}

/// In place of a greeting; whoever does not read it sees the EOF.
void turn_away(int fd, const std::string& why) {
    const auto text = R"({"error": {"class": "GenericError", "desc": ")" + why + "\"}}\r\n";
    (void)!::send(fd, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

} // namespace

class Proxy::Impl : public std::enable_shared_from_this<Impl> {
  public:
    Impl(asio::any_io_executor executor, UnixListener listener, ProxyPolicy policy,
         ProxyHooks hooks, ProxyLimits limits)
        : executor_(std::move(executor)), name_(std::move(listener)), acceptor_(executor_),
          retry_(executor_), core_(policy, limits), limits_(limits), hooks_(std::move(hooks)) {}

    void start();
    void attach(std::shared_ptr<ProxyUpstream> upstream);
    void hold() { holding_ = true; }
    void give_up();
    void publish(const Event& event);
    void close();
    const std::string& path() const noexcept { return path_; }
    std::size_t clients() const noexcept { return connections_.size(); }

  private:
    struct Connection {
        Connection(Socket s, const asio::any_io_executor& executor)
            : socket(std::move(s)), wake(executor) {}
        Socket socket;
        asio::steady_timer wake; ///< cancelled when it may be read from again
        bool writing = false;    ///< somebody waits until it can be written to
        bool at_eof = false;
        std::array<char, 4096> in;
    };
    using Shared = std::shared_ptr<Connection>;

    static asio::awaitable<void> accept(std::shared_ptr<Impl> self);
    static asio::awaitable<void> serve(std::shared_ptr<Impl> self, ProxyClientId id, Shared client);
    static asio::awaitable<void> write(std::shared_ptr<Impl> self, ProxyClientId id, Shared client);
    static asio::awaitable<void> forward(std::shared_ptr<Impl> self, ProxyCore::Forward what);

    void welcome(Socket socket);
    bool read(ProxyClientId id, Connection& client);
    void pump();
    void flush(ProxyClientId id, const Shared& client);
    void drop(ProxyClientId id);
    void lost();

    asio::any_io_executor executor_;
    std::optional<UnixListener> name_;
    std::string path_;
    asio::local::stream_protocol::acceptor acceptor_;
    asio::steady_timer retry_;
    ProxyCore core_;
    ProxyLimits limits_;
    ProxyHooks hooks_;
    std::shared_ptr<ProxyUpstream> upstream_;
    std::shared_ptr<ProxyUpstream::Listener> listener_;
    std::map<ProxyClientId, Shared> connections_;
    bool pumping_ = false, pump_again_ = false;
    bool holding_ = false;
    bool closed_ = false;
};

void Proxy::Impl::start() {
    path_ = name_->path();
    acceptor_.assign(asio::local::stream_protocol(), ::fcntl(name_->fd(), F_DUPFD_CLOEXEC, 0));
    asio::co_spawn(executor_, accept(shared_from_this()), asio::detached);
}

asio::awaitable<void> Proxy::Impl::accept(std::shared_ptr<Impl> self) {
    while (!self->closed_) {
        Socket socket(self->executor_);
        const auto [error] = co_await self->acceptor_.async_accept(socket, use_tuple);
        if (self->closed_)
            break;
        if (!error) {
            self->welcome(std::move(socket));
            continue;
        }
        // Out of descriptors, mostly: the client waits in the backlog, and accept() would fail
        // again at once.
        self->retry_.expires_after(std::chrono::milliseconds(200));
        co_await self->retry_.async_wait(use_tuple);
    }
}

void Proxy::Impl::welcome(Socket socket) {
    const int fd = socket.native_handle();
    ::fcntl(fd, F_SETFD, FD_CLOEXEC); // Asio's accept leaves it to programs we start
    if (!may_connect(fd))
        return turn_away(fd, "only root and the proxy's own user may connect");
    const auto id = core_.join();
    if (!id)
        return turn_away(fd, "the proxy serves " + std::to_string(limits_.clients) +
                                 " clients at most, and has them");
    auto client = std::make_shared<Connection>(std::move(socket), executor_);
    connections_.emplace(*id, client);
    asio::co_spawn(executor_, serve(shared_from_this(), *id, std::move(client)), asio::detached);
    pump();
}

asio::awaitable<void> Proxy::Impl::serve(std::shared_ptr<Impl> self, ProxyClientId id,
                                         Shared client) {
    while (auto* state = self->core_.client(id)) {
        if (!state->wants_input()) {
            client->wake.expires_at(asio::steady_timer::time_point::max());
            co_await client->wake.async_wait(use_tuple);
            continue;
        }
        const auto [error] = co_await client->socket.async_wait(Socket::wait_read, use_tuple);
        if (!error && self->read(id, *client))
            continue;
        // Behind a half-closed socket (nc -N, socat) somebody still waits for the answers.
        client->at_eof = true;
        if (error || hung_up(client->socket.native_handle()))
            self->drop(id);
        else
            self->pump();
        co_return;
    }
}

/// False at the EOF, and when it can't be read from any more.
bool Proxy::Impl::read(ProxyClientId id, Connection& client) {
    auto got =
        receive(client.socket.native_handle(), client.in, core_.policy().takes_descriptors());
    if (got.error == EAGAIN)
        return true;
    if (got.error != 0)
        drop(id);
    if (got.size == 0)
        return false;
    const std::string_view bytes(client.in.data(), got.size);
    core_.received(id, bytes.substr(0, got.fd_at));
    if (got.fd)
        core_.received(id, std::move(got.fd));
    core_.received(id, bytes.substr(got.fd_at));
    pump();
    return true;
}

asio::awaitable<void> Proxy::Impl::write(std::shared_ptr<Impl> self, ProxyClientId id,
                                         Shared client) {
    const auto [error] = co_await client->socket.async_wait(Socket::wait_write, use_tuple);
    client->writing = false;
    if (error)
        self->drop(id);
    else
        self->pump();
}

void Proxy::Impl::flush(ProxyClientId id, const Shared& client) {
    auto* state = core_.client(id);
    if (state->overrun())
        return drop(id);
    while (!client->writing && !state->unsent().empty()) {
        const auto bytes = state->unsent();
        const auto size = ::send(client->socket.native_handle(), bytes.data(), bytes.size(),
                                 MSG_NOSIGNAL | MSG_DONTWAIT);
        if (size >= 0) {
            state->sent(static_cast<std::size_t>(size));
        } else if (errno == EAGAIN) {
            client->writing = true;
            asio::co_spawn(executor_, write(shared_from_this(), id, client), asio::detached);
        } else if (errno != EINTR) {
            return drop(id);
        }
    }
    if (client->at_eof && state->idle() && state->unsent().empty())
        return drop(id);
    if (state->wants_input())
        client->wake.cancel();
}

void Proxy::Impl::pump() {
    // Starting a command can end one at once, which comes back here.
    pump_again_ = true;
    if (pumping_)
        return;
    pumping_ = true;
    while (std::exchange(pump_again_, false)) {
        while (auto next = core_.next())
            asio::co_spawn(executor_, forward(shared_from_this(), std::move(*next)),
                           asio::detached);
        for (const auto id : core_.clients())
            if (const auto found = connections_.find(id); found != connections_.end())
                flush(id, Shared(found->second));
    }
    pumping_ = false;
}

asio::awaitable<void> Proxy::Impl::forward(std::shared_ptr<Impl> self, ProxyCore::Forward what) {
    const auto upstream = self->upstream_;
    if (!upstream) // closed meanwhile
        co_return;
    auto command = what.command;
    command.fd = nullptr; // the session's to close once it is written
    const auto& hooks = self->hooks_;
    if (hooks.tainted && !ProxyPolicy::only_looks(command.name))
        hooks.tainted(command.name);
    std::optional<ProxyAnswer> answer;
    try {
        answer = co_await upstream->execute(std::move(what.command));
        if (hooks.device_changed && !self->closed_ &&
            (command.name == "device_add" || command.name == "device_del"))
            hooks.device_changed(command);
    } catch (const QmpFailure& refused) {
        answer = ProxyError{refused.error_class(), refused.verbatim()};
    } catch (const Failure& failure) {
        // To what QEMU took with it when it ended there is no answer but the EOF, see lost().
        if (upstream->connected() || self->holding_)
            answer = ProxyError{"GenericError", failure.what()};
    }
    if (answer)
        self->core_.answered(what.ticket, *answer);
    else
        self->core_.unanswered(what.ticket);
    self->pump();
}

void Proxy::Impl::drop(ProxyClientId id) {
    core_.leave(id);
    const auto found = connections_.find(id);
    if (found == connections_.end())
        return;
    const auto client = found->second;
    connections_.erase(found);
    boost::system::error_code ignored; // it is given up, whatever it says
    client->socket.close(ignored);
    client->wake.cancel();
}

void Proxy::Impl::attach(std::shared_ptr<ProxyUpstream> upstream) {
    if (closed_)
        return;
    holding_ = false;
    upstream_ = std::move(upstream);
    core_.connected(upstream_->greeting());
    listener_ = std::make_shared<ProxyUpstream::Listener>();
    // Raw: the listener is this one's alone, and nobody is called once it is gone.
    listener_->event = [this](const Event& event) {
        core_.event(event);
        pump();
    };
    listener_->lost = [this] { lost(); };
    upstream_->listen(listener_);
}

void Proxy::Impl::give_up() {
    // Posted, as all that QEMU said: its last event goes first.
    asio::post(executor_, [self = shared_from_this()] {
        if (std::exchange(self->holding_, false))
            self->lost();
    });
}

void Proxy::Impl::publish(const Event& event) {
    core_.event(event);
    pump();
}

void Proxy::Impl::lost() {
    if (holding_) {
        core_.disconnected();
        return pump();
    }
    for (const auto id : core_.clients())
        drop(id);
    core_.disconnected();
}

void Proxy::Impl::close() {
    if (std::exchange(closed_, true))
        return;
    name_.reset();
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    retry_.cancel();
    for (const auto id : core_.clients())
        drop(id);
    listener_.reset();
    upstream_.reset();
}

Proxy::Proxy(asio::any_io_executor executor, UnixListener listener, ProxyPolicy policy,
             ProxyHooks hooks, ProxyLimits limits)
    : impl_(std::make_shared<Impl>(std::move(executor), std::move(listener), policy,
                                   std::move(hooks), limits)) {
    impl_->start();
}

Proxy::~Proxy() {
    close();
}

void Proxy::attach(std::shared_ptr<ProxyUpstream> upstream) {
    impl_->attach(std::move(upstream));
}

void Proxy::hold() {
    impl_->hold();
}

void Proxy::give_up() {
    impl_->give_up();
}

void Proxy::publish(const Event& event) {
    impl_->publish(event);
}

void Proxy::close() {
    impl_->close();
}

const std::string& Proxy::path() const noexcept {
    return impl_->path();
}

std::size_t Proxy::clients() const {
    return impl_->clients();
}

} // namespace kata_vfio::qemu
