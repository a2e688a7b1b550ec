// SPDX-License-Identifier: Apache-2.0
#include "config/base/failure.hpp"
#include "config/base/file.hpp"
#include "config/base/unique_fd.hpp"
#include "runtime-plugin/shim/command/commands.hpp"
#include "runtime-plugin/shim/log.hpp"
#include "runtime-plugin/shim/oci/spec.hpp"
#include "runtime-plugin/shim/ttrpc/status.hpp"
#include "runtime-plugin/shim/vm/place.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <iostream>

namespace kata_vfio::shim {
namespace fs = std::filesystem;
using ttrpc::Code;
using ttrpc::Error;
namespace {

fs::path bundle_of(const Arguments& arguments) {
    return arguments.bundle.empty() ? fs::current_path() : fs::path(arguments.bundle);
}

std::string read_stdin() {
    std::string all;
    std::array<char, 4096> bytes;
    for (;;) {
        const auto count = ::read(STDIN_FILENO, bytes.data(), bytes.size());
        if (count <= 0 || all.size() > (1u << 20))
            return all;
        all.append(bytes.data(), static_cast<std::size_t>(count));
    }
}

UniqueFd listen_on(const fs::path& socket) {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, socket.c_str(), socket.native().size());
    // Nobody's: a sandbox whose shim lives was refused before.
    ::unlink(socket.c_str());
    if (!fd ||
        ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
        ::chmod(socket.c_str(), 0600) != 0 || ::listen(fd.get(), 64) != 0)
        throw host_failure(errno, "can't listen on " + socket.native());
    return fd;
}

/// In the daemon: no terminal, no caller's descriptors, its words to containerd's log fifo.
void detach_from_caller(const fs::path& bundle, const fs::path& null, int listener) {
    ::setsid();
    ::signal(SIGPIPE, SIG_IGN);
    const int nothing = ::open(null.c_str(), O_RDWR);
    // Both ways, so that containerd may close it, and open it again after a restart.
    int log = ::open((bundle / "log").c_str(), O_RDWR | O_NONBLOCK);
    if (log < 0)
        log = nothing;
    ::dup2(nothing, 0);
    ::dup2(nothing, 1);
    ::dup2(log, 2);
    // The listener is to be 3, and the last one.
    ::dup2(listener, 3);
    ::fcntl(3, F_SETFD, FD_CLOEXEC);
    ::close_range(4, ~0u, 0);
    if (::chdir("/") != 0)
        ::_exit(1);
}

} // namespace

int start(const Arguments& arguments, const vfio::HostRoot& root) {
    const auto bundle = bundle_of(arguments);
    const auto text = read_file(bundle / "config.json", 4u << 20);
    if (!text)
        throw Error(Code::not_found, (bundle / "config.json").native() + " is not there");
    const auto spec = oci::parse_spec(*text);
    const Place place(root, arguments.containerd_namespace,
                      spec.kind == oci::Kind::single ? arguments.id : spec.sandbox_id);
    const auto address = "unix://" + place.socket().native();
    if (spec.kind == oci::Kind::container) {
        if (!place.living("shim.pid"))
            throw Error(Code::failed_precondition,
                        "the pod's sandbox " + spec.sandbox_id + " has no shim that lives");
    } else {
        if (place.living("shim.pid"))
            throw Error(Code::already_exists, "sandbox " + place.key() + " has a shim already");
        Serving serving;
        serving.containerd_namespace = arguments.containerd_namespace;
        serving.sandbox_id = spec.kind == oci::Kind::single ? arguments.id : spec.sandbox_id;
        serving.config_path = config_path_of(read_stdin());
        const char* ttrpc = std::getenv("TTRPC_ADDRESS");
        serving.containerd_ttrpc = ttrpc && *ttrpc ? ttrpc : arguments.address + ".ttrpc";
        place.make();
        if (!serving.config_path.empty())
            write_atomically(place.at("configuration"), serving.config_path);
        auto listener = listen_on(place.socket());
        const pid_t pid = ::fork();
        if (pid < 0)
            throw Failure(Errc::internal, "can't make the shim's process").sys(errno);
        if (pid == 0) {
            detach_from_caller(bundle, root.dev("null"), listener.get());
            [[maybe_unused]] const int moved = listener.release();
            serving.listener = 3;
            log_with_debug(arguments.debug);
            log_enable(true);
            ::_exit(serve(serving, root));
        }
        place.remember("shim.pid", pid);
        write_atomically(bundle / "shim.pid", std::to_string(pid));
    }
    // containerd 1.6 reads it when it is restarted.
    write_atomically(bundle / "address", address);
    std::cout << address << std::flush;
    return 0;
}

} // namespace kata_vfio::shim
