// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"
#include "qemu/qmp/proxy/unix_listener.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>

namespace kata_vfio::daemon {

/// GET /metrics over HTTP/1.1, on a unix socket (mode 0600) or a TCP port; prometheus-cpp's own
/// server knows no unix sockets. Everything on the loop's thread. A connection is closed 10 s after
/// it was made, however many requests it has brought, and there are at most 16 at a time. `collect`
/// gives the text.
class MetricsServer {
  public:
    using Collect = std::function<boost::asio::awaitable<std::string>()>;

    /// `address`: "unix:PATH" or "HOST:PORT". Throws Failure: host_io, device_in_use, ..
    MetricsServer(boost::asio::io_context& loop, const std::string& address, Collect collect);
    ~MetricsServer();

    /// Of a TCP listener, for tests.
    unsigned short port() const;
    /// Listens no more, and closes the connections there are: what is being collected for one still
    /// ends, and is told nobody.
    void close();

  private:
    using Socket = boost::asio::generic::stream_protocol::socket;
    void accept_tcp();
    void accept_unix();
    void pause(std::function<void()> then);
    void serve(Socket socket);
    boost::asio::awaitable<void> session(std::shared_ptr<Socket> socket);

    boost::asio::io_context& loop_;
    Collect collect_;
    std::optional<qemu::UnixListener> unix_;
    std::optional<boost::asio::posix::stream_descriptor> unix_ready_;
    std::optional<boost::asio::ip::tcp::acceptor> tcp_;
    boost::asio::steady_timer pause_;
    std::set<std::shared_ptr<Socket>> sessions_;
};

} // namespace kata_vfio::daemon
