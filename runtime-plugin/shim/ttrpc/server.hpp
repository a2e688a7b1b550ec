// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include <functional>
#include <memory>
#include <string>

namespace kata_vfio::shim::ttrpc {

/// Serves one unary call: the request's bytes to the response's. Throws Error, or anything.
using Method = std::function<boost::asio::awaitable<std::string>(std::string payload)>;
/// The method of a service; empty: there is none (answered Unimplemented).
using Find = std::function<Method(const std::string& service, const std::string& method)>;

/// A ttrpc server on a listening AF_UNIX socket. Everything runs in the io_context's one thread.
///
/// Calls of one connection run side by side and are answered as they end: Wait lasts as long as a
/// container lives. At most max_calls at once a connection and max_connections; what is beyond is
/// answered resource_exhausted, or not accepted. A client that is not root or our own user is cut.
class Server {
  public:
    static constexpr std::size_t max_calls = 1024;
    static constexpr std::size_t max_connections = 64;

    Server(boost::asio::io_context& io, UniqueFd listener, Find find);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    /// Takes no more connections; those there are stay.
    void stop_accepting();
    /// Answers on their way to clients: an owner that ends waits until there are none.
    bool idle() const noexcept;

  private:
    struct State;
    std::shared_ptr<State> state_;
};

} // namespace kata_vfio::shim::ttrpc
