// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/agent/guest/uevent.hpp"

#include "config/base/text.hpp"
#include "runtime-plugin/kernel/system_error.hpp"

#include <linux/netlink.h>
#include <sys/socket.h>

#include <array>

namespace kata_vfio::agent {

std::optional<Uevent> parse_uevent(std::string_view message) {
    const auto fields = split(message, '\0');
    const auto at = fields.front().find('@');
    if (at == std::string_view::npos)
        return std::nullopt;
    Uevent event;
    event.action = std::string(fields.front().substr(0, at));
    for (std::size_t i = 1; i < fields.size(); ++i)
        if (const auto equals = fields[i].find('='); equals != std::string_view::npos)
            event.values[std::string(fields[i].substr(0, equals))] = fields[i].substr(equals + 1);
    return event;
}

UeventSocket::UeventSocket() {
    fd_.reset(must(
        ::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT),
        "no socket for uevents"));
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = 1;
    must(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)),
         "can't listen for uevents");
}

std::optional<Uevent> UeventSocket::next() {
    std::array<char, 16384> buffer;
    for (;;) {
        sockaddr_nl sender{};
        socklen_t size = sizeof(sender);
        const auto count = ::recvfrom(fd_.get(), buffer.data(), buffer.size(), 0,
                                      reinterpret_cast<sockaddr*>(&sender), &size);
        if (count < 0) {
            if (errno == ENOBUFS)
                return Uevent();
            return std::nullopt;
        }
        // A process may send to the group as well, if it has the capability; the kernel is 0.
        if (sender.nl_pid != 0)
            continue;
        if (auto event =
                parse_uevent(std::string_view(buffer.data(), static_cast<std::size_t>(count))))
            return event;
    }
}

} // namespace kata_vfio::agent
