// SPDX-License-Identifier: Apache-2.0
// A complete host in C++: loads libkata_vfio.so, opens a sandbox, attaches one device, prints its
// guest address, lists, detaches, releases.
//
//   attach LIBRARY CONFIG ID QMP_SOCKET DEVICE [HOST_ROOT]
//
// Exit status: 0, or the hundred of the failure's status (docs/errors.md). Ctrl-C cancels what
// runs, which undoes it.
#include "plugin.hpp"

#include <csignal>
#include <cstdio>
#include <thread>
#include <unistd.h>

namespace {

/// SIGINT and SIGTERM as a stop. Before any other thread: they must not take the signals.
std::stop_token stop_on_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    std::stop_source source;
    std::thread([source, signals]() mutable {
        int number = 0;
        sigwait(&signals, &number);
        source.request_stop();
    }).detach(); // waits as long as the process lives
    return source.get_token();
}

void use_sandbox(katavfio::Plugin& plugin, katavfio::Sandbox sandbox, const std::string& id,
                 const std::string& device, const std::stop_token& stop) {
    for (const auto& attachment : sandbox.attach(device, stop))
        std::printf("%s\n", attachment.guest_address.c_str());
    std::fflush(stdout);
    std::fprintf(stderr, "attached: %zu\n", plugin.list(id).size());
    sandbox.detach(device, stop);
}

int attach(const std::vector<std::string>& args) {
    const auto stop = stop_on_signals();
    const katavfio::Library library(args[0]);
    katavfio::Plugin plugin(library, args[1], args.size() > 5 ? args[5] : "",
                            [](std::int32_t level, std::string_view line) {
                                std::fprintf(stderr, "[%d] %.*s\n", level,
                                             static_cast<int>(line.size()), line.data());
                            });
    int status = 0;
    bool opened = false;
    try {
        // Should this process die, reconcile gives back what it had. Of another root it can't be
        // seen.
        const std::int64_t owner = args.size() > 5 ? 0 : ::getpid();
        auto sandbox = plugin.open(args[2], args[3], {}, stop, owner);
        opened = true;
        use_sandbox(plugin, std::move(sandbox), args[2], args[4], stop);
    } catch (const katavfio::Error& error) {
        std::fprintf(stderr, "%s\n", error.what());
        status = error.status / 100;
    }
    // What was refused has left nothing; the sandbox itself is remembered until it is released. One
    // that could not be opened may be somebody else's.
    if (!opened)
        return status;
    try {
        plugin.release(args[2]);
    } catch (const katavfio::Error& error) {
        if (status == 0)
            throw;
        std::fprintf(stderr, "release: %s\n", error.what());
    }
    return status;
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 6 && argc != 7) {
        std::fprintf(stderr, "usage: %s LIBRARY CONFIG ID QMP_SOCKET DEVICE [HOST_ROOT]\n",
                     argv[0]);
        return 2;
    }
    try {
        return attach({argv + 1, argv + argc});
    } catch (const katavfio::Error& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return error.status / 100;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
