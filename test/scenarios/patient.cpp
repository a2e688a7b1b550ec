// SPDX-License-Identifier: Apache-2.0
// A runtime that lives on while the vGPU it detached is still held (test/scenarios/pending).
//
//   patient LIBRARY CONFIG SANDBOX QMP_SOCKET DEVICE
//
// Opens the sandbox and attaches, prints "attached UUID"; at the next line of its input detaches
// and prints "detach STATUS MESSAGE"; then waits for the plugin to have finished the removal by
// itself, and prints "finished LINE", the plugin's own words.
#include "test/scenarios/loaded_plugin.hpp"

#include <cstdio>
#include <iostream>
#include <string>

int main(int argc, char** argv) {
    if (argc != 6) {
        std::fprintf(stderr, "usage: %s LIBRARY CONFIG SANDBOX QMP_SOCKET DEVICE\n", argv[0]);
        return 2;
    }
    try {
        kata_vfio::scenario::LoadedPlugin plugin(argv[1], argv[2], "pending removal is finished");
        for (const bool attach : {false, true}) {
            const auto end = attach ? plugin.attach(argv[5]) : plugin.open(argv[3], argv[4]);
            if (!end.ok()) {
                std::fprintf(stderr, "%s: %s\n", end.name.c_str(), end.message.c_str());
                return 1;
            }
            if (attach)
                std::cout << "attached " << end.uuid << std::endl;
        }
        std::string line;
        std::getline(std::cin, line);
        const auto end = plugin.detach(argv[5]);
        std::cout << "detach " << end.name << " " << end.message << std::endl;
        std::cout << "finished " << plugin.await_line() << std::endl;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s: %s\n", argv[3], error.what());
        return 1;
    }
}
