// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/vm/file_server.hpp"

#include "config/base/failure.hpp"
#include "runtime-plugin/shim/vm/privileges.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace kata_vfio::shim {
namespace {

struct Ends {
    UniqueFd listener, connection;
};
/// The connection is made before anybody listens in earnest: the kernel keeps it until then.
Ends connected(const std::filesystem::path& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.native().size() + 1);
    const auto* name = reinterpret_cast<const sockaddr*>(&address);
    Ends ends{UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)),
              UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0))};
    ::unlink(path.c_str());
    const bool made = ends.listener && ends.connection &&
                      ::bind(ends.listener.get(), name, sizeof(address)) == 0 &&
                      ::listen(ends.listener.get(), 1) == 0 &&
                      ::connect(ends.connection.get(), name, sizeof(address)) == 0;
    const int reason = errno;
    ::unlink(path.c_str());
    if (!made)
        throw host_failure(reason, "can't make the share's socket " + path.native());
    return ends;
}

} // namespace

std::vector<std::string> file_server_line(const std::string& program, int listener,
                                          const std::filesystem::path& share) {
    // announce_submounts: each mount in the share has inode numbers of its own. -mknod: the shim
    // has not that capability itself.
    return {program, "--fd=" + std::to_string(listener), "-o",
            "source=" + share.native() +
                ",sandbox=namespace,xattr,announce_submounts,cache=auto,modcaps=-mknod"};
}

FileServer::FileServer(boost::asio::io_context& io, const std::string& program, const Place& place,
                       const HostCgroup& cgroup, UniqueFd& qemu_end) {
    if (::access(program.c_str(), X_OK) != 0)
        throw Failure(Errc::config_invalid, "a rootless QEMU has its share served by virtiofsd, "
                                            "and there is no program " +
                                                program)
            .remedy("install it (Debian 12: qemu-system-common; later: virtiofsd), and name it in "
                    "[hypervisor.qemu] virtio_fs_daemon");
    auto ends = connected(place.at("share.sock"));
    Child::Plan plan;
    plan.words = file_server_line(program, ends.listener.get(), place.shared());
    plan.log = place.at("virtiofsd.log");
    plan.kept = {ends.listener.get()};
    plan.capabilities = file_server_capabilities();
    plan.cgroup = &cgroup;
    child_ = std::make_unique<Child>(io, plan);
    qemu_end = std::move(ends.connection);
}

} // namespace kata_vfio::shim
