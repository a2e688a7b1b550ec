// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/agent/guest/port.hpp"

#include "config/base/text.hpp"
#include "runtime-plugin/agent/protocol/frame.hpp"
#include "runtime-plugin/kernel/system_error.hpp"
#include "vfio/sysfs_read.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
// It needs the one above.
#include <linux/vm_sockets.h>

#include <cerrno>
#include <charconv>
#include <string>
#include <utility>

namespace kata_vfio::agent {
namespace {

std::optional<UniqueFd> port_if_there(const vfio::HostRoot& root) {
    const auto ports = root.sys("class/virtio-ports");
    for (const auto& port : vfio::names_in(ports))
        if (vfio::attribute(ports / port / "name") == std::string(port_name))
            return UniqueFd(must(::open(root.dev(port).c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC),
                                 "can't open the port"));
    return std::nullopt;
}

/// The driver learns the port's name, and that the host has it open, by messages that it works off
/// after it is loaded; until then there is no such port, or its other end seems closed. There is no
/// event to wait for the latter by.
UniqueFd open_serial(const vfio::HostRoot& root) {
    std::optional<UniqueFd> port;
    for (int i = 0; i < 1000; ++i) {
        if (!port)
            port = port_if_there(root);
        pollfd state{port ? port->get() : -1, POLLOUT, 0};
        if (::poll(&state, 1, port ? 0 : 10) > 0 && !(state.revents & POLLHUP))
            return std::move(*port);
        if (port)
            ::poll(nullptr, 0, 10);
    }
    throw SystemError("the host does not open the port " + std::string(port_name), ENODEV);
}

/// nullopt: the host's queue is full.
std::optional<UniqueFd> dial_once(std::uint32_t port) {
    UniqueFd fd(
        must(::socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0), "this kernel has no vsock"));
    // Two seconds, the kernel's own, are short on a host that is busy.
    const timeval limit{30, 0};
    must(::setsockopt(fd.get(), AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &limit, sizeof limit),
         "can't set vsock's time limit");
    sockaddr_vm address{};
    address.svm_family = AF_VSOCK;
    address.svm_cid = VMADDR_CID_HOST;
    address.svm_port = port;
    const int connected =
        ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    if (connected != 0 && errno == ECONNRESET)
        return std::nullopt;
    must(connected, "can't reach the host's vsock port " + std::to_string(port));
    must(::fcntl(fd.get(), F_SETFL, O_NONBLOCK), "can't set the connection up");
    return fd;
}

/// The shim listened before this guest's machine was there. A reset says that others are in the
/// queue before us, whom the shim drops when it looks; that it has, no event tells.
UniqueFd dial_host(std::uint32_t port) {
    for (int tried = 0; tried < 500; ++tried) {
        if (auto fd = dial_once(port))
            return std::move(*fd);
        ::poll(nullptr, 0, 50);
    }
    throw SystemError("the host resets connections to its vsock port " + std::to_string(port),
                      ECONNRESET);
}

} // namespace

std::optional<std::uint32_t> vsock_port(std::string_view command_line) {
    for (const auto word : split(command_line, ' ')) {
        if (!word.starts_with(vsock_word))
            continue;
        std::uint32_t port = 0;
        const auto text = trim(word.substr(vsock_word.size()));
        const auto* end = text.data() + text.size();
        const auto [last, error] = std::from_chars(text.data(), end, port);
        if (error == std::errc() && last == end)
            return port;
    }
    return std::nullopt;
}

UniqueFd open_port(const vfio::HostRoot& root, const Modules& modules,
                   std::string_view command_line) {
    if (const auto port = vsock_port(command_line)) {
        modules.load("vmw_vsock_virtio_transport");
        return dial_host(*port);
    }
    modules.load("virtio_console");
    return open_serial(root);
}

} // namespace kata_vfio::agent
