// SPDX-License-Identifier: Apache-2.0
// A complete host in C++: loads libkata_vfio.so, opens a sandbox, attaches one device, prints its
// guest address, lists, detaches, releases.
//
//   attach LIBRARY CONFIG ID QMP_SOCKET DEVICE [HOST_ROOT]
//
// Exit status: 0, or the hundred of the failure's status (docs/errors.md).
#include "plugin.hpp"

#include <cstdio>

namespace {

void use_sandbox(katavfio::Plugin& plugin, const std::string& id, const std::string& socket,
                 const std::string& device) {
    auto sandbox = plugin.open(id, socket);
    for (const auto& attachment : sandbox.attach(device))
        std::printf("%s\n", attachment.guest_address.c_str());
    std::fflush(stdout);
    std::fprintf(stderr, "attached: %zu\n", plugin.list(id).size());
    sandbox.detach(device);
}

int attach(const std::vector<std::string>& args) {
    const katavfio::Library library(args[0]);
    katavfio::Plugin plugin(library, args[1], args.size() > 5 ? args[5] : "",
                            [](std::int32_t level, std::string_view line) {
                                std::fprintf(stderr, "[%d] %.*s\n", level,
                                             static_cast<int>(line.size()), line.data());
                            });
    try {
        use_sandbox(plugin, args[2], args[3], args[4]);
    } catch (const katavfio::Error&) {
        // What was refused has left nothing; the sandbox itself is remembered until it is released.
        try {
            plugin.release(args[2]);
        } catch (const katavfio::Error& error) {
            std::fprintf(stderr, "release: %s\n", error.what());
        }
        throw;
    }
    plugin.release(args[2]);
    return 0;
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
