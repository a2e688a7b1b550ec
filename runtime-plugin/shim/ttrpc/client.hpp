// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace kata_vfio::shim::ttrpc {

/// One unary call after another on a connection of its own; connects when it has none.
class Client {
  public:
    explicit Client(std::string socket_path) : path_(std::move(socket_path)) {}

    /// The response's payload. Throws Error: the server's status; unavailable (can't connect, or
    /// the connection ended); deadline_exceeded.
    boost::asio::awaitable<std::string> call(std::string service, std::string method,
                                             std::string payload, std::chrono::milliseconds limit);

  private:
    boost::asio::awaitable<std::string> exchange(std::string frame, std::uint32_t stream);

    std::string path_;
    std::optional<boost::asio::local::stream_protocol::socket> socket_;
    std::uint32_t next_stream_ = 1;
};

} // namespace kata_vfio::shim::ttrpc
