// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/agent/guest/process.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace kata_vfio::agent {
namespace {

void no_waiting(int fd) {
    ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
}

} // namespace

Process::Process(std::uint32_t number, std::string container, bool first, Send send)
    : number_(number), container_(std::move(container)), first_(first), send_(std::move(send)) {}

void Process::give_pipes(UniqueFd in, UniqueFd out, UniqueFd err) {
    in_ = std::move(in);
    out_.fd = std::move(out);
    err_.fd = std::move(err);
    for (const int fd : {in_.get(), out_.fd.get(), err_.fd.get()})
        no_waiting(fd);
}
void Process::give_terminal(UniqueFd master) {
    terminal_ = true;
    out_.fd = std::move(master);
    no_waiting(out_.fd.get());
    // A terminal has one output.
    send_(FrameType::stderr_end, {});
}

void Process::on_stdin(std::string_view bytes) {
    if (pending_.size() + bytes.size() > window)
        throw ProtocolError("more stdin than there is room for");
    if (stdin_ended_ || stdin_fd() < 0)
        return;
    pending_ += bytes;
    write_stdin();
}
void Process::on_stdin_end() {
    stdin_ended_ = true;
    if (pending_.empty())
        in_.reset();
}
void Process::write_stdin() {
    std::size_t written = 0;
    while (written < pending_.size() && stdin_fd() >= 0) {
        const auto count =
            ::write(stdin_fd(), pending_.data() + written, pending_.size() - written);
        if (count > 0) {
            written += static_cast<std::size_t>(count);
        } else if (errno == EAGAIN) {
            break;
        } else if (errno != EINTR) {
            // Nobody will read it: as a pipe's writer without SIGPIPE, go on without.
            written = pending_.size();
            in_.reset();
        }
    }
    pending_.erase(0, written);
    if (written > 0)
        send_(FrameType::stdin_credit, number_payload(static_cast<std::uint32_t>(written)));
    if (stdin_ended_ && pending_.empty())
        in_.reset();
}

void Process::on_credit(FrameType type, std::uint32_t bytes) {
    auto& output = type == FrameType::stdout_credit ? out_ : err_;
    if (bytes > window - output.room)
        throw ProtocolError("a credit for more than was sent");
    output.room += bytes;
}

Process::Wanted Process::wanted() const {
    Wanted fds;
    if (!pending_.empty())
        fds.in = stdin_fd();
    if (out_.room > 0)
        fds.out = out_.fd.get();
    if (err_.room > 0)
        fds.err = err_.fd.get();
    return fds;
}

void Process::read_output(FrameType which) {
    auto& output = which == FrameType::stdout_data ? out_ : err_;
    std::array<char, max_data> bytes;
    const auto most = std::min<std::size_t>(bytes.size(), output.room);
    if (!output.fd || most == 0)
        return;
    const auto count = ::read(output.fd.get(), bytes.data(), most);
    if (count > 0) {
        output.room -= static_cast<std::uint32_t>(count);
        send_(which, std::string_view(bytes.data(), static_cast<std::size_t>(count)));
    } else if (count == 0 || (errno != EAGAIN && errno != EINTR)) {
        // EIO: the terminal's last process has closed it.
        end_output(which);
    }
}

void Process::end_output(FrameType which) {
    const bool is_out = which == FrameType::stdout_data;
    (is_out ? out_ : err_).fd.reset();
    send_(is_out ? FrameType::stdout_end : FrameType::stderr_end, {});
}

void Process::close() {
    in_.reset();
    if (out_.fd)
        end_output(FrameType::stdout_data);
    if (err_.fd)
        end_output(FrameType::stderr_data);
}

} // namespace kata_vfio::agent
