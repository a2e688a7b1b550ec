// SPDX-License-Identifier: Apache-2.0
#include "test/bench/echo_peer.hpp"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <string_view>

namespace kata_vfio::bench {
namespace {

constexpr std::string_view greeting =
    "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, \"package\": "
    "\"\"}, \"capabilities\": [\"oob\"]}}\r\n";

void say(int fd, std::string_view text) {
    while (!text.empty()) {
        const auto n = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
        if (n <= 0)
            return; // its client is gone, which the next read says
        text.remove_prefix(static_cast<std::size_t>(n));
    }
}

/// Our encoder writes the id last, and as a number.
void answer(int fd, std::string_view command) {
    const auto at = command.rfind("\"id\":");
    std::string id(at == std::string_view::npos ? "0" : command.substr(at + 5));
    id.resize(id.find_first_not_of("0123456789 "));
    say(fd, "{\"return\": {\"status\": \"running\", \"singlestep\": false, \"running\": true}, "
            "\"id\": " +
                id + "}\r\n");
}

[[noreturn]] void serve(int listener) {
    const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
    epoll_event wanted{};
    wanted.events = EPOLLIN;
    wanted.data.fd = listener;
    ::epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &wanted);
    std::map<int, std::string> unread;
    for (;;) {
        epoll_event ready[64];
        const int n = ::epoll_wait(epoll, ready, 64, -1);
        for (int i = 0; i < n; ++i) {
            int fd = ready[i].data.fd;
            if (fd == listener) {
                fd = ::accept(listener, nullptr, nullptr);
                wanted.data.fd = fd;
                ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &wanted);
                say(fd, greeting);
                continue;
            }
            char bytes[8192];
            const auto got = ::read(fd, bytes, sizeof bytes);
            if (got <= 0) {
                ::close(fd);
                unread.erase(fd);
                continue;
            }
            auto& text = unread[fd];
            text.append(bytes, static_cast<std::size_t>(got));
            for (std::size_t end; (end = text.find('\n')) != std::string::npos;
                 text.erase(0, end + 1))
                answer(fd, std::string_view(text).substr(0, end));
        }
    }
}

} // namespace

EchoPeer::EchoPeer() {
    std::string name = "/dev/shm/echo-peer.XXXXXX";
    if (!::mkdtemp(name.data()))
        throw std::runtime_error("mkdtemp failed");
    directory_ = name;
    path_ = name + "/qmp.sock";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
    const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listener, 4096) != 0)
        throw std::runtime_error("can't listen on " + path_);
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent)
            ::_exit(1);
        serve(listener);
    }
    ::close(listener);
}

EchoPeer::~EchoPeer() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
}

} // namespace kata_vfio::bench
