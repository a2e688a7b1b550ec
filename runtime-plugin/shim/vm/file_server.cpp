// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/vm/file_server.hpp"

#include "config/base/failure.hpp"
#include "runtime-plugin/shim/vm/privileges.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace kata_vfio::shim {
using boost::asio::awaitable;
namespace {

/// It answers within milliseconds; on an emulated machine that is busy, within a second.
constexpr std::chrono::seconds for_version{20};

struct Ends {
    UniqueFd listener, connection;
};
/// The connection is made before anybody listens in earnest: the kernel keeps it until then.
Ends connected(const std::filesystem::path& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.native().size() >= sizeof address.sun_path)
        throw Failure(Errc::config_invalid,
                      "the path of the socket " + path.native() + " is over " +
                          std::to_string(sizeof address.sun_path - 1) + " bytes")
            .remedy("use a shorter id");
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

/// Throws Failure when it is nothing to be run.
void require_program(const std::string& path) {
    struct stat info {};
    std::string problem;
    if (::stat(path.c_str(), &info) != 0)
        problem = errno == ENOENT ? "there is no " + path : path + ": " + std::strerror(errno);
    else if (!S_ISREG(info.st_mode))
        problem = path + " is no file";
    else if (::access(path.c_str(), X_OK) != 0)
        problem = path + " is not executable";
    if (problem.empty())
        return;
    throw Failure(Errc::config_invalid, "virtio-fs needs virtiofsd, and " + problem)
        .remedy("install it (Debian 12: qemu-system-common, /usr/lib/qemu/virtiofsd; later: "
                "virtiofsd, /usr/libexec/virtiofsd), and name it in [hypervisor.qemu] "
                "virtio_fs_daemon");
}

/// Which of the two it is, by its own word.
awaitable<FileServerKind> ask(boost::asio::io_context& io, const std::string& program,
                              const Place& place) {
    // Not of its log: of a sandbox that is started again that has more in it.
    const auto answer = place.at("virtiofsd.version");
    ::unlink(answer.c_str());
    Child::Plan plan;
    plan.words = {program, "--version"};
    plan.log = answer;
    Child child(io, plan);
    const auto end = co_await child.ended().wait_for(for_version);
    const auto said = last_words(answer);
    ::unlink(answer.c_str());
    ::unlink((answer.native() + ".1").c_str()); // of a program that said very much
    if (end)
        if (const auto kind = file_server_kind(said))
            co_return *kind;
    throw Failure(Errc::config_invalid, program + " is not virtiofsd: asked for its --version it " +
                                            (end ? "ended, " + *end : "did not end"))
        .said(said)
        .remedy("name virtiofsd in [hypervisor.qemu] virtio_fs_daemon (Debian 12: "
                "/usr/lib/qemu/virtiofsd of qemu-system-common; later: /usr/libexec/virtiofsd of "
                "virtiofsd)");
}

} // namespace

awaitable<std::unique_ptr<FileServer>>
FileServer::start(boost::asio::io_context& io, const config::Hypervisor& hypervisor,
                  const Place& place, const HostCgroup& cgroup, UniqueFd& qemu_end) {
    const auto& program = hypervisor.virtio_fs_daemon;
    require_program(program);
    const auto kind = co_await ask(io, program, place);
    auto ends = connected(place.at("share.sock"));
    Child::Plan plan;
    plan.words = file_server_line(kind, hypervisor, ends.listener.get(), place.shared());
    plan.log = place.at("virtiofsd.log");
    plan.kept = {ends.listener.get()};
    plan.capabilities = file_server_capabilities();
    plan.cgroup = &cgroup;
    auto child = std::make_unique<Child>(io, plan);
    qemu_end = std::move(ends.connection);
    co_return std::unique_ptr<FileServer>(new FileServer(std::move(child)));
}

bool FileServer::failed() const {
    return ended().ready() && ended().value() != ended_well;
}

} // namespace kata_vfio::shim
