// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/ttrpc/client.hpp"

#include "qemu/use_tuple.hpp"
#include "runtime-plugin/shim/ttrpc/frame.hpp"
#include "runtime-plugin/shim/ttrpc/status.hpp"
#include "ttrpc.pb.h"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace kata_vfio::shim::ttrpc {
namespace asio = boost::asio;
using asio::awaitable;
using namespace asio::experimental::awaitable_operators;
using Socket = asio::local::stream_protocol::socket;
namespace {

/// connect(2) on AF_UNIX does not block, and Asio's async_connect can report success for a full
/// backlog (docs/decisions.md, 9).
Socket connected(const asio::any_io_executor& executor, const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof(address.sun_path))
        throw Error(Code::unavailable, "the socket's path is too long: " + path);
    std::memcpy(address.sun_path, path.data(), path.size());
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        throw Error(Code::unavailable, std::string("no socket: ") + std::strerror(errno));
    Socket socket(executor, asio::local::stream_protocol(), fd);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) < 0)
        throw Error(Code::unavailable, "can't connect to " + path + ": " + std::strerror(errno));
    return socket;
}

} // namespace

awaitable<std::string> Client::exchange(std::string frame, std::uint32_t stream) {
    const auto [write_error, written] =
        co_await asio::async_write(*socket_, asio::buffer(frame), qemu::use_tuple);
    if (write_error)
        throw Error(Code::unavailable, "the connection to " + path_ + " ended");
    FrameReader reader;
    std::array<char, 4096> bytes;
    for (;;) {
        while (auto answer = reader.next()) {
            // One of an earlier call that ran out of time.
            if (answer->stream != stream || answer->type != FrameType::response)
                continue;
            ::ttrpc::Response response;
            if (answer->too_long || !response.ParseFromString(answer->payload))
                throw Error(Code::internal, path_ + " answers what is no ttrpc response");
            if (response.status().code() != 0)
                throw Error(static_cast<Code>(response.status().code()),
                            response.status().message());
            co_return response.payload();
        }
        const auto [error, count] =
            co_await socket_->async_read_some(asio::buffer(bytes), qemu::use_tuple);
        if (error)
            throw Error(Code::unavailable, "the connection to " + path_ + " ended");
        reader.feed(std::string_view(bytes.data(), count));
    }
}

awaitable<std::string> Client::call(std::string service, std::string method, std::string payload,
                                    std::chrono::milliseconds limit) {
    const auto executor = co_await asio::this_coro::executor;
    if (!socket_)
        socket_.emplace(connected(executor, path_));
    ::ttrpc::Request request;
    request.set_service(service);
    request.set_method(method);
    request.set_payload(payload);
    request.set_timeout_nano(std::chrono::nanoseconds(limit).count());
    Frame frame;
    frame.stream = next_stream_;
    next_stream_ += 2;
    frame.payload = request.SerializeAsString();
    std::string bytes = encode(frame);
    asio::steady_timer timer(executor, limit);
    try {
        const auto first = co_await (exchange(std::move(bytes), frame.stream) ||
                                     timer.async_wait(asio::use_awaitable));
        if (first.index() == 0)
            co_return std::get<0>(first);
    } catch (const Error& error) {
        if (error.code() == Code::unavailable || error.code() == Code::internal)
            socket_.reset();
        throw;
    }
    // An exchange that was cut in the middle leaves half a frame on the wire.
    socket_.reset();
    throw Error(Code::deadline_exceeded, path_ + " did not answer in time");
}

} // namespace kata_vfio::shim::ttrpc
