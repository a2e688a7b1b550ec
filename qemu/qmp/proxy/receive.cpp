// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/proxy/receive.hpp"

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace kata_vfio::qemu {
namespace {

/// As recvmsg(2): -1 with errno, 0 at EOF.
ssize_t receive_message(int socket, msghdr& message, int flags) {
    ssize_t size;
    do
        size = ::recvmsg(socket, &message, flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (size < 0 && errno == EINTR);
    return size;
}

/// Whether what can be read next, no more than fits, ends in a message with descriptors.
ssize_t look(int socket, std::span<char> into, bool& has_descriptors) {
    iovec bytes{into.data(), into.size()};
    char too_small = 0; // not none: the kernel says MSG_CTRUNC only for a buffer
    msghdr message{};
    message.msg_iov = &bytes;
    message.msg_iovlen = 1;
    message.msg_control = &too_small;
    message.msg_controllen = sizeof too_small;
    const auto size = receive_message(socket, message, MSG_PEEK);
    has_descriptors = (message.msg_flags & MSG_CTRUNC) != 0;
    return size;
}

ssize_t receive_byte(int socket, char& into, UniqueFd& fd) {
    iovec bytes{&into, 1};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &bytes;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = CMSG_LEN(sizeof(int)); // without the padding, which has room for one
    const auto size = receive_message(socket, message, 0);
    if (size <= 0)
        return size;
    const auto* header = CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof(int))) {
        int number = -1;
        std::memcpy(&number, CMSG_DATA(header), sizeof number);
        fd = UniqueFd(number);
    }
    return size;
}

} // namespace

ProxyReceived receive(int socket, std::span<char> into, bool descriptors) {
    ProxyReceived received;
    const auto ended = [&received](ssize_t size) {
        if (size < 0)
            received.error = errno;
        return size <= 0;
    };
    bool bytewise = false;
    if (descriptors) {
        const auto there = look(socket, into, bytewise);
        if (ended(there))
            return received;
        into = into.first(static_cast<std::size_t>(there));
    }
    if (!bytewise) {
        ssize_t size;
        do
            size = ::recv(socket, into.data(), into.size(), MSG_DONTWAIT);
        while (size < 0 && errno == EINTR);
        if (!ended(size))
            received.size = static_cast<std::size_t>(size);
        return received;
    }
    for (auto& byte : into) {
        UniqueFd fd;
        if (const auto size = receive_byte(socket, byte, fd); size <= 0) {
            if (received.size == 0)
                (void)ended(size);
            break; // otherwise the next call tells why
        }
        ++received.size;
        if (!fd)
            continue;
        received.fd = std::make_shared<const UniqueFd>(std::move(fd));
        received.fd_at = received.size - 1;
        break;
    }
    return received;
}

} // namespace kata_vfio::qemu
