// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/vm/vsock.hpp"

#include "config/base/failure.hpp"
#include "runtime-plugin/shim/log.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
// It needs the one above.
#include <linux/vm_sockets.h>

#include <cerrno>
#include <random>
#include <string>
#include <utility>

namespace kata_vfio::shim {
namespace asio = boost::asio;
using asio::awaitable;
namespace {

constexpr std::uint32_t first_cid = VMADDR_CID_HOST + 1, last_cid = VMADDR_CID_ANY - 1;
/// VHOST_VSOCK_SET_GUEST_CID of linux/vhost.h, which does not compile as C++.
constexpr unsigned long set_guest_cid = _IOW(0xAF, 0x60, std::uint64_t);

} // namespace

std::uint32_t allot_cid(std::uint32_t from, const std::function<int(std::uint32_t)>& take) {
    constexpr int most = 1000;
    auto cid = from < first_cid || from > last_cid ? first_cid : from;
    for (int tried = 0; tried < most; ++tried) {
        const int reason = take(cid);
        if (reason == 0)
            return cid;
        if (reason != EADDRINUSE)
            throw host_failure(reason, "can't take the vsock context id " + std::to_string(cid));
        cid = cid == last_cid ? first_cid : cid + 1;
    }
    throw Failure(Errc::host_io, std::to_string(most) + " vsock context ids in a row are taken");
}

bool comes_from(std::uint32_t cid, const sockaddr_storage& peer) noexcept {
    return peer.ss_family == AF_VSOCK && reinterpret_cast<const sockaddr_vm&>(peer).svm_cid == cid;
}

Vsock::Vsock(asio::io_context& io, const vfio::HostRoot& root) : io_(io) {
    // The first who opens it has the kernel load vhost_vsock, where there is such a module.
    const auto node = root.dev("vhost-vsock");
    device_.reset(::open(node.c_str(), O_RDWR | O_CLOEXEC));
    if (!device_)
        throw host_failure(errno, "can't open " + node.native());
    // By lot, since what is left of a connection of the last who had an id must not be this one's.
    std::random_device random;
    const auto from = std::uniform_int_distribution(first_cid, last_cid)(random);
    cid_ = allot_cid(from, [&](std::uint32_t cid) {
        std::uint64_t id = cid;
        return ::ioctl(device_.get(), set_guest_cid, &id) == 0 ? 0 : errno;
    });
    listener_.reset(::socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    // So is the port, which the kernel would count up: other guests could fill the queue of the
    // next sandbox's before its agent comes.
    constexpr std::uint32_t first_port = 1024;
    constexpr int most = 100;
    bool bound = false;
    for (int tried = 0; listener_ && !bound && tried < most; ++tried) {
        sockaddr_vm address{};
        address.svm_family = AF_VSOCK;
        address.svm_cid = VMADDR_CID_HOST;
        address.svm_port = std::uniform_int_distribution(first_port, VMADDR_PORT_ANY - 1)(random);
        bound = ::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
        port_ = address.svm_port;
        if (!bound && errno != EADDRINUSE)
            break;
    }
    if (!bound || ::listen(listener_.get(), 128) != 0)
        throw host_failure(errno, "can't listen on a vsock port");
}

awaitable<UniqueFd> Vsock::accept() {
    // Its own descriptor of the port, which ends with the descriptor of this object or with this
    // coroutine, whoever is later.
    asio::posix::stream_descriptor waiting(io_, ::fcntl(listener_.get(), F_DUPFD_CLOEXEC, 0));
    bool told = false;
    for (;;) {
        co_await waiting.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
        sockaddr_storage peer{};
        socklen_t size = sizeof peer;
        UniqueFd connection(::accept4(waiting.native_handle(), reinterpret_cast<sockaddr*>(&peer),
                                      &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (!connection) {
            if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
                continue;
            reason_ = errno;
            co_return UniqueFd();
        }
        if (comes_from(cid_, peer)) {
            listener_.reset();
            co_return std::move(connection);
        }
        if (!std::exchange(told, true))
            log_warning("somebody else connects to the agent's port and is dropped", {});
    }
}

} // namespace kata_vfio::shim
