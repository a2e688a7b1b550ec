// SPDX-License-Identifier: Apache-2.0
#include "config/base/unique_fd.hpp"
#include "runtime-plugin/daemon/metrics_server.hpp"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <array>
#include <chrono>

namespace kata_vfio::daemon {
namespace {

namespace asio = boost::asio;

/// No descriptor more than there are now, until its end.
struct NoMore {
    NoMore() {
        ::getrlimit(RLIMIT_NOFILE, &earlier);
        const UniqueFd next(::fcntl(0, F_DUPFD_CLOEXEC, 0)); // the lowest that is free
        auto none = earlier;
        none.rlim_cur = static_cast<rlim_t>(next.get());
        ::setrlimit(RLIMIT_NOFILE, &none);
    }
    ~NoMore() { ::setrlimit(RLIMIT_NOFILE, &earlier); }
    NoMore(const NoMore&) = delete;
    NoMore& operator=(const NoMore&) = delete;
    rlimit earlier{};
};

TEST(MetricsServer, ClosingItClosesTheConnectionsThereAre) {
    asio::io_context loop;
    MetricsServer server(loop, "127.0.0.1:0",
                         []() -> asio::awaitable<std::string> { co_return "text"; });
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server.port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    ::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    const std::string request = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    std::array<char, 4096> answer{};
    ssize_t got = -1;
    bool sent = false;
    while (got <= 0 && loop.run_one_for(std::chrono::seconds(20)) > 0) {
        sent = sent || ::send(client.get(), request.data(), request.size(), MSG_NOSIGNAL) > 0;
        got = ::recv(client.get(), answer.data(), answer.size(), 0);
    }
    ASSERT_GT(got, 0);
    const auto began = std::chrono::steady_clock::now();
    server.close();
    loop.run(); // nothing is left to wait for
    EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(5));
    EXPECT_EQ(::recv(client.get(), answer.data(), answer.size(), 0), 0);
}

TEST(MetricsServer, WithoutDescriptorsTheLoopDoesNotTurn) {
    asio::io_context loop;
    int asked = 0;
    MetricsServer server(loop, "127.0.0.1:0", [&]() -> asio::awaitable<std::string> {
        ++asked;
        co_return "text";
    });
    const UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server.port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    loop.poll(); // what it opens for itself, it has
    {
        const NoMore none;
        ::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
        EXPECT_LT(loop.run_for(std::chrono::milliseconds(300)), 20u);
    }
    // And the client that waited is served.
    const std::string request = "GET /metrics HTTP/1.0\r\n\r\n";
    while (asked == 0 && loop.run_one_for(std::chrono::seconds(20)) > 0) [[maybe_unused]]
        const auto sent = ::send(client.get(), request.data(), request.size(), MSG_NOSIGNAL);
    EXPECT_EQ(asked, 1);
    server.close();
}

} // namespace
} // namespace kata_vfio::daemon
