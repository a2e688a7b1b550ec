// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/daemon/listener.hpp"

#include "runtime-plugin/daemon/log.hpp"

#include <boost/asio/steady_timer.hpp>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <string>

namespace kata_vfio::daemon {
namespace asio = boost::asio;

Listener::Listener(asio::io_context& loop, int listening_fd, OnConnect on_connect)
    // The caller keeps its own; that of systemd's is kept by the process.
    : ready_(loop, ::fcntl(listening_fd, F_DUPFD_CLOEXEC, 0)), on_connect_(std::move(on_connect)) {
    accept();
}

void Listener::close() {
    boost::system::error_code ignored;
    ready_.close(ignored);
}

void Listener::accept() {
    ready_.async_wait(
        asio::posix::stream_descriptor::wait_read, [this](boost::system::error_code error) {
            if (error)
                return;
            UniqueFd socket(
                ::accept4(ready_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
            ucred peer{};
            socklen_t size = sizeof peer;
            if (!socket) {
                if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
                    log(Level::error, std::string("can't accept: ") + std::strerror(errno));
                    // Out of descriptors: the client stays in the queue, and so would we, turning.
                    auto pause = std::make_shared<asio::steady_timer>(ready_.get_executor(),
                                                                      std::chrono::seconds(1));
                    return pause->async_wait([this, pause](boost::system::error_code over) {
                        if (!over && ready_.is_open())
                            accept();
                    });
                }
            } else if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
                log(Level::error,
                    std::string("a client that can't be told: ") + std::strerror(errno));
            } else {
                on_connect_(std::move(socket), Peer{peer.uid, peer.pid});
            }
            accept();
        });
}

} // namespace kata_vfio::daemon
