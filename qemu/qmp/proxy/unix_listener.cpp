// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/proxy/unix_listener.hpp"

#include "config/base/failure.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace kata_vfio::qemu {
namespace {

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path)
        throw Failure(Errc::invalid_argument, "a socket can't be named " + path)
            .said("its path must have 1 to " + std::to_string(sizeof address.sun_path - 1) +
                  " bytes, this one has " + std::to_string(path.size()))
            .remedy("use a shorter state directory or sandbox id");
    std::memcpy(address.sun_path, path.data(), path.size());
    return address;
}

/// Who listens on the name; "" when nobody does.
std::string listener_of(const std::string& path) {
    const auto address = address_of(path);
    const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!probe)
        throw host_failure(errno, "can't make a socket");
    if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
        ucred peer{};
        socklen_t size = sizeof peer;
        if (::getsockopt(probe.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid > 0)
            return "pid " + std::to_string(peer.pid);
        return "a process that can't be told";
    }
    if (errno == EAGAIN) // alive, with a full backlog
        return "a process that does not accept at the moment";
    if (errno == ECONNREFUSED || errno == ENOENT)
        return "";
    throw host_failure(errno, "can't find out who listens on " + path);
}

} // namespace

UnixListener::UnixListener(std::string path, int backlog)
    : path_(std::move(path)),
      fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    if (!fd_)
        throw host_failure(errno, "can't make a socket");
    // Before bind(), which gives the name this mode: at no time can others connect.
    if (::fchmod(fd_.get(), 0600) != 0)
        throw host_failure(errno, "can't set the mode of the socket " + path_);
    bind_name();
    struct stat name {};
    if (::lstat(path_.c_str(), &name) != 0)
        throw host_failure(errno, "can't look at the socket " + path_);
    device_ = name.st_dev;
    inode_ = name.st_ino;
    if (::listen(fd_.get(), backlog) != 0)
        throw host_failure(errno, "can't listen on " + path_);
}

void UnixListener::bind_name() {
    const auto address = address_of(path_);
    const auto bind = [&] {
        return ::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    };
    if (bind())
        return;
    if (errno != EADDRINUSE)
        throw host_failure(errno, "can't make the socket " + path_);
    struct stat there {};
    if (::lstat(path_.c_str(), &there) == 0 && !S_ISSOCK(there.st_mode))
        throw Failure(Errc::host_io, "can't make the socket " + path_)
            .said("the file that is there is no socket")
            .remedy("it was left as it is: look at it, and move it away");
    if (const auto who = listener_of(path_); !who.empty())
        throw Failure(Errc::device_in_use, "the socket " + path_ + " is in use")
            .blocked_by(who + ", which listens on it")
            .remedy("let it end first");
    if ((::unlink(path_.c_str()) != 0 && errno != ENOENT) || !bind())
        throw host_failure(errno, "can't replace the socket " + path_ + ", left by a dead process");
}

UnixListener::~UnixListener() {
    struct stat name {};
    if (fd_ && ::lstat(path_.c_str(), &name) == 0 && name.st_dev == device_ &&
        name.st_ino == inode_)
        ::unlink(path_.c_str());
}

} // namespace kata_vfio::qemu
