// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/task/stdio.hpp"

#include "config/base/text.hpp"
#include "qemu/use_tuple.hpp"
#include "runtime-plugin/shim/ttrpc/status.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/write.hpp>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace kata_vfio::shim {
namespace asio = boost::asio;
using asio::awaitable;
using asio::posix::stream_descriptor;
namespace {

/// An output fifo is opened for both ways: opening never waits for the client, and writing is no
/// error after it has gone. stdin is opened for reading alone: its end is when the last writer has
/// closed it. CloseIO may never come (ctr calls it only when stdin ends after Create).
UniqueFd open_fifo(const std::string& named, int mode) {
    std::string path = named;
    if (path.starts_with("fifo://"))
        path.erase(0, 7);
    if (path.find("://") != std::string::npos)
        throw ttrpc::Error(ttrpc::Code::unimplemented,
                           "output to " + quoted(named) + " is not implemented; fifos are");
    UniqueFd fd(::open(path.c_str(), mode | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
    struct stat info {};
    if (!fd)
        throw ttrpc::Error(ttrpc::Code::invalid_argument,
                           "can't open the fifo " + path + ": " + std::strerror(errno));
    if (::fstat(fd.get(), &info) != 0 || !S_ISFIFO(info.st_mode))
        throw ttrpc::Error(ttrpc::Code::invalid_argument, path + " is no fifo");
    return fd;
}

} // namespace

struct Stdio::State : std::enable_shared_from_this<State> {
    State(asio::io_context& context, Paths p)
        : io(context), paths(std::move(p)), in(context), out(context), err(context),
          room_timer(context, std::chrono::steady_clock::time_point::max()), done(context) {
        if (!paths.in.empty())
            in.assign(open_fifo(paths.in, O_RDONLY).release());
        if (!paths.out.empty())
            out.fifo.assign(open_fifo(paths.out, O_RDWR).release());
        if (!paths.err.empty() && !paths.terminal)
            err.fifo.assign(open_fifo(paths.err, O_RDWR).release());
    }

    struct Output {
        explicit Output(asio::io_context& context) : fifo(context) {}
        stream_descriptor fifo;
        std::string queue, writing;
        bool ended = false, closed = false;
        std::uint32_t uncredited = 0; ///< passed on before run(), which tells the guest
    };

    asio::io_context& io;
    Paths paths;
    stream_descriptor in;
    Output out, err;
    asio::steady_timer room_timer;
    std::uint32_t room = agent::window;
    bool closing = false;
    Guest* guest = nullptr;
    std::uint32_t process = 0;
    Future<bool> done;

    void take(bool is_err, std::string bytes) {
        auto& output = is_err ? err : out;
        if (!output.fifo.is_open()) {
            credit(is_err, static_cast<std::uint32_t>(bytes.size()));
            return;
        }
        output.queue += bytes;
        if (output.writing.empty())
            asio::co_spawn(io, write(shared_from_this(), is_err), asio::detached);
    }
    void credit(bool is_err, std::uint32_t bytes) {
        if (guest)
            guest->credit(process, is_err, bytes);
        else
            (is_err ? err : out).uncredited += bytes;
    }
    void end(bool is_err) {
        auto& output = is_err ? err : out;
        output.ended = true;
        if (output.queue.empty() && output.writing.empty())
            close(output);
    }
    void close(Output& output) {
        boost::system::error_code ignored;
        output.fifo.close(ignored);
        output.closed = true;
        if (out.closed && err.closed)
            done.set(true);
    }
    static awaitable<void> write(std::shared_ptr<State> self, bool is_err) {
        auto& output = is_err ? self->err : self->out;
        while (!output.queue.empty()) {
            output.writing.swap(output.queue);
            output.queue.clear();
            const auto [error, count] = co_await asio::async_write(
                output.fifo, asio::buffer(output.writing), qemu::use_tuple);
            const auto size = static_cast<std::uint32_t>(output.writing.size());
            output.writing.clear();
            if (error)
                break;
            self->credit(is_err, size);
        }
        if (output.ended)
            self->close(output);
    }

    static awaitable<void> read(std::shared_ptr<State> self) {
        std::array<char, agent::max_data> bytes;
        while (self->guest) {
            if (self->room == 0) {
                co_await self->room_timer.async_wait(qemu::use_tuple);
                continue;
            }
            if (!self->closing)
                co_await self->in.async_wait(stream_descriptor::wait_read, qemu::use_tuple);
            if (!self->guest)
                break;
            const auto most = std::min<std::size_t>(bytes.size(), self->room);
            const auto count = ::read(self->in.native_handle(), bytes.data(), most);
            if (count > 0) {
                self->room -= static_cast<std::uint32_t>(count);
                self->guest->send_stdin(
                    self->process, std::string_view(bytes.data(), static_cast<std::size_t>(count)));
            } else if (self->closing || count == 0 || (errno != EAGAIN && errno != EINTR)) {
                // 0 is the end: before its first writer a fifo is not ready at all (fifo(7)).
                self->guest->end_stdin(self->process);
                break;
            }
        }
        boost::system::error_code ignored;
        self->in.close(ignored);
    }
};

Stdio::Stdio(asio::io_context& io, Paths paths)
    : state_(std::make_shared<State>(io, std::move(paths))) {}
Stdio::~Stdio() {
    guest_ended();
}

const Stdio::Paths& Stdio::paths() const noexcept {
    return state_->paths;
}

ProcessEvents Stdio::events() {
    const auto state = state_;
    ProcessEvents events;
    events.output = [state](bool is_err, std::string bytes) {
        state->take(is_err, std::move(bytes));
    };
    events.output_end = [state](bool is_err) { state->end(is_err); };
    events.stdin_credit = [state](std::uint32_t bytes) {
        state->room += bytes;
        state->room_timer.cancel();
    };
    return events;
}

void Stdio::run(Guest& guest, std::uint32_t process) {
    state_->guest = &guest;
    state_->process = process;
    for (const bool is_err : {false, true})
        state_->credit(is_err, std::exchange((is_err ? state_->err : state_->out).uncredited, 0));
    if (state_->in.is_open())
        asio::co_spawn(state_->io, State::read(state_), asio::detached);
    else
        guest.end_stdin(process);
}

void Stdio::close_stdin() {
    state_->closing = true;
    boost::system::error_code ignored;
    state_->in.cancel(ignored);
}

void Stdio::guest_ended() {
    state_->guest = nullptr;
    boost::system::error_code ignored;
    state_->in.cancel(ignored);
    state_->room_timer.cancel();
    for (const bool is_err : {false, true})
        if (!(is_err ? state_->err : state_->out).closed)
            state_->end(is_err);
}

const Future<bool>& Stdio::done() const noexcept {
    return state_->done;
}

} // namespace kata_vfio::shim
