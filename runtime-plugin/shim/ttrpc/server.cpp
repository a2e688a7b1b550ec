// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/ttrpc/server.hpp"

#include "config/base/text.hpp"
#include "qemu/use_tuple.hpp"
#include "runtime-plugin/shim/log.hpp"
#include "runtime-plugin/shim/ttrpc/frame.hpp"
#include "runtime-plugin/shim/ttrpc/status.hpp"
#include "ttrpc.pb.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <sys/socket.h>

#include <array>
#include <deque>

namespace kata_vfio::shim::ttrpc {
namespace asio = boost::asio;
using asio::awaitable;
using Socket = asio::local::stream_protocol::socket;
namespace {

bool is_trusted(Socket& socket) {
    ucred peer{};
    socklen_t size = sizeof(peer);
    return ::getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == 0 || peer.uid == ::geteuid());
}

std::string failed(Code code, const std::string& text) {
    ::ttrpc::Response response;
    response.mutable_status()->set_code(static_cast<int>(code));
    // Protobuf's strings are UTF-8; a kernel's or QEMU's words may be anything.
    std::string clean;
    for (const char c : text.substr(0, 16384))
        clean.push_back(static_cast<unsigned char>(c) < 0x80 ? c : '?');
    response.mutable_status()->set_message(clean);
    return response.SerializeAsString();
}

} // namespace

struct Server::State {
    State(asio::io_context& context, Find finder)
        : io(context), acceptor(context), find(std::move(finder)) {}

    asio::io_context& io;
    asio::local::stream_protocol::acceptor acceptor;
    Find find;
    std::size_t connections = 0;
    std::size_t unsent = 0; ///< frames in queues
};

namespace {

template <class State>
class Connection : public std::enable_shared_from_this<Connection<State>> {
  public:
    Connection(Socket socket, std::shared_ptr<State> state)
        : socket_(std::move(socket)), state_(std::move(state)) {
        ++state_->connections;
    }
    ~Connection() {
        --state_->connections;
        state_->unsent -= queue_.size();
    }

    awaitable<void> read() {
        const auto self = this->shared_from_this();
        std::array<char, 16384> bytes;
        for (;;) {
            const auto [error, count] =
                co_await socket_.async_read_some(asio::buffer(bytes), qemu::use_tuple);
            if (error)
                co_return;
            reader_.feed(std::string_view(bytes.data(), count));
            while (auto frame = reader_.next())
                take(std::move(*frame));
        }
    }

  private:
    void take(Frame frame) {
        if (frame.too_long)
            return send(frame.stream, failed(Code::resource_exhausted,
                                             "a request over " + std::to_string(max_payload) +
                                                 " bytes is not taken"));
        // Data frames belong to streaming calls, of which there are none.
        if (frame.type != FrameType::request)
            return;
        if (calls_ >= Server::max_calls)
            return send(frame.stream, failed(Code::resource_exhausted, "too many calls at once"));
        ++calls_;
        asio::co_spawn(state_->io, serve(this->shared_from_this(), std::move(frame)),
                       asio::detached);
    }

    static awaitable<void> serve(std::shared_ptr<Connection> self, Frame frame) {
        std::string answer;
        ::ttrpc::Request request;
        if (!request.ParseFromString(frame.payload)) {
            answer = failed(Code::invalid_argument, "not a ttrpc request");
        } else {
            const std::string name = request.service() + "/" + request.method();
            try {
                const auto method = self->state_->find(request.service(), request.method());
                if (!method)
                    throw Error(Code::unimplemented, quoted(name) + " is not implemented");
                ::ttrpc::Response response;
                response.set_payload(co_await method(request.payload()));
                answer = response.SerializeAsString();
                if (answer.size() > max_payload)
                    throw Error(Code::resource_exhausted, "the answer is too long");
            } catch (const Error& error) {
                answer = failed(error.code(), error.what());
                log_debug("call failed", {{"call", name}, {"error", error.what()}});
            } catch (const std::exception& error) {
                answer = failed(Code::unknown, error.what());
                log_error("call failed", {{"call", name}, {"error", error.what()}});
            }
        }
        --self->calls_;
        self->send(frame.stream, std::move(answer));
    }

    void send(std::uint32_t stream, std::string payload) {
        Frame frame;
        frame.stream = stream;
        frame.type = FrameType::response;
        frame.payload = std::move(payload);
        queue_.push_back(encode(frame));
        ++state_->unsent;
        if (queue_.size() == 1)
            asio::co_spawn(state_->io, write(this->shared_from_this()), asio::detached);
    }

    static awaitable<void> write(std::shared_ptr<Connection> self) {
        while (!self->queue_.empty()) {
            const auto [error, count] = co_await asio::async_write(
                self->socket_, asio::buffer(self->queue_.front()), qemu::use_tuple);
            if (error) {
                // Nobody reads: what was to be said is of no use to anyone.
                self->state_->unsent -= self->queue_.size();
                self->queue_.clear();
                co_return;
            }
            self->queue_.pop_front();
            --self->state_->unsent;
        }
    }

    Socket socket_;
    std::shared_ptr<State> state_;
    FrameReader reader_;
    std::deque<std::string> queue_;
    std::size_t calls_ = 0;
};

template <class State>
awaitable<void> accept(std::shared_ptr<State> state) {
    for (;;) {
        auto [error, socket] = co_await state->acceptor.async_accept(qemu::use_tuple);
        if (error == asio::error::operation_aborted || !state->acceptor.is_open())
            co_return;
        if (error)
            continue;
        if (!is_trusted(socket) || state->connections >= Server::max_connections) {
            log_warning("a client was turned away", {});
            continue;
        }
        auto connection = std::make_shared<Connection<State>>(std::move(socket), state);
        asio::co_spawn(state->io, connection->read(), asio::detached);
    }
}

} // namespace

Server::Server(asio::io_context& io, UniqueFd listener, Find find)
    : state_(std::make_shared<State>(io, std::move(find))) {
    state_->acceptor.assign(asio::local::stream_protocol(), listener.release());
    asio::co_spawn(io, accept(state_), asio::detached);
}
Server::~Server() {
    stop_accepting();
}
void Server::stop_accepting() {
    boost::system::error_code ignored;
    state_->acceptor.close(ignored);
}
bool Server::idle() const noexcept {
    return state_->unsent == 0;
}

} // namespace kata_vfio::shim::ttrpc
