// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/daemon/metrics_server.hpp"

#include "config/base/failure.hpp"
#include "runtime-plugin/daemon/log.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

namespace kata_vfio::daemon {
namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace {

constexpr std::size_t most_sessions = 16;
constexpr std::chrono::seconds patience{10};

asio::ip::tcp::endpoint endpoint_of(asio::io_context& loop, const std::string& address) {
    const auto colon = address.rfind(':');
    auto host = address.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']'))
        host = host.substr(1, host.size() - 2);
    boost::system::error_code error;
    asio::ip::tcp::resolver resolver(loop);
    const auto found =
        resolver.resolve(host, address.substr(colon + 1), asio::ip::resolver_base::passive, error);
    if (error || found.empty())
        throw Failure(Errc::host_io, "can't serve metrics on " + address).said(error.message());
    return found.begin()->endpoint();
}

} // namespace

MetricsServer::MetricsServer(asio::io_context& loop, const std::string& address, Collect collect)
    : loop_(loop), collect_(std::move(collect)), pause_(loop) {
    if (address.starts_with("unix:")) {
        unix_.emplace(address.substr(5));
        // The listener keeps the descriptor; this only tells when it is readable.
        unix_ready_.emplace(loop_, ::dup(unix_->fd()));
        accept_unix();
        return;
    }
    const auto endpoint = endpoint_of(loop_, address);
    boost::system::error_code error;
    tcp_.emplace(loop_);
    tcp_->open(endpoint.protocol(), error);
    if (!error)
        tcp_->set_option(asio::socket_base::reuse_address(true), error);
    if (!error)
        tcp_->bind(endpoint, error);
    if (!error)
        tcp_->listen(16, error);
    if (error)
        throw Failure(Errc::host_io, "can't serve metrics on " + address).said(error.message());
    accept_tcp();
}

MetricsServer::~MetricsServer() = default;

unsigned short MetricsServer::port() const {
    return tcp_ ? tcp_->local_endpoint().port() : 0;
}

void MetricsServer::close() {
    boost::system::error_code ignored;
    if (tcp_)
        tcp_->close(ignored);
    if (unix_ready_)
        unix_ready_->close(ignored);
    unix_.reset();
    pause_.cancel();
    for (const auto& socket : sessions_)
        socket->close(ignored);
}

void MetricsServer::accept_tcp() {
    tcp_->async_accept([this](boost::system::error_code error, asio::ip::tcp::socket socket) {
        if (error == asio::error::operation_aborted)
            return;
        if (error)
            return pause([this] { accept_tcp(); });
        serve(Socket(std::move(socket)));
        accept_tcp();
    });
}

void MetricsServer::accept_unix() {
    unix_ready_->async_wait(
        asio::posix::stream_descriptor::wait_read, [this](boost::system::error_code error) {
            if (error)
                return;
            UniqueFd fd(::accept4(unix_->fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
            if (fd)
                serve(Socket(loop_, asio::generic::stream_protocol(AF_UNIX, 0), fd.release()));
            else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
                return pause([this] { accept_unix(); });
            accept_unix();
        });
}

/// Out of descriptors: the client stays in the queue, and so would we, turning.
void MetricsServer::pause(std::function<void()> then) {
    pause_.expires_after(std::chrono::seconds(1));
    pause_.async_wait([then = std::move(then)](boost::system::error_code error) {
        if (!error)
            then();
    });
}

void MetricsServer::serve(Socket socket) {
    if (sessions_.size() >= most_sessions)
        return; // closed
    auto shared = std::make_shared<Socket>(std::move(socket));
    sessions_.insert(shared);
    // The time limit ends what the session waits for.
    auto limit = std::make_shared<asio::steady_timer>(loop_, patience);
    limit->async_wait([shared](boost::system::error_code error) {
        boost::system::error_code ignored;
        if (!error)
            shared->close(ignored);
    });
    asio::co_spawn(loop_, session(shared), [this, shared, limit](const std::exception_ptr&) {
        limit->cancel();
        sessions_.erase(shared);
    });
}

asio::awaitable<void> MetricsServer::session(std::shared_ptr<Socket> socket) {
    boost::beast::flat_buffer buffer(16384);
    for (;;) {
        http::request<http::empty_body> request;
        co_await http::async_read(*socket, buffer, request, asio::use_awaitable);
        http::response<http::string_body> response(http::status::ok, request.version());
        response.set(http::field::content_type, "text/plain; version=0.0.4; charset=utf-8");
        if (request.method() != http::verb::get && request.method() != http::verb::head) {
            response.result(http::status::method_not_allowed);
            response.set(http::field::allow, "GET, HEAD");
        } else if (request.target() != "/metrics") {
            response.result(http::status::not_found);
            response.body() = "/metrics\n";
        } else {
            response.body() = co_await collect_();
        }
        response.keep_alive(request.keep_alive());
        response.prepare_payload();
        if (request.method() == http::verb::head)
            response.body().clear();
        co_await http::async_write(*socket, response, asio::use_awaitable);
        if (!request.keep_alive())
            co_return;
    }
}

} // namespace kata_vfio::daemon
