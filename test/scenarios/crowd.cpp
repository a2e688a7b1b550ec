// SPDX-License-Identifier: Apache-2.0
// One of several processes that want more vGPUs of one parent than it has, each for a sandbox of
// its own (test/scenarios/crowd).
//
//   crowd LIBRARY CONFIG SANDBOX QMP_SOCKET TYPE PARENT ROUNDS HELD MOST
//
// Each round attaches a vGPU, and releases the oldest when HELD are attached, or when the parent
// has none left. Prints "attached N refused N most N". Exit status 1 when an attach fails with
// anything but no_instances that names type and parent, or more than MOST vGPUs are on the parent.
#include "test/scenarios/loaded_plugin.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>

namespace {

using namespace kata_vfio::scenario;

/// Those of the parent whose driver has given them resources: one that is being refused has a
/// directory too, for a moment, but no VFIO device.
std::set<std::string> made(const std::string& parent) {
    std::set<std::string> names;
    std::error_code ec;
    for (const auto& entry :
         std::filesystem::directory_iterator("/sys/class/mdev_bus/" + parent + "/"))
        if (entry.path().filename().native().size() == 36 &&
            std::filesystem::exists(entry.path() / "vfio-dev", ec))
            names.insert(entry.path().filename());
    return names;
}

/// How many there were at one moment. A directory is not listed at one moment, but those in two
/// listings were all there between them.
int vgpus(const std::string& parent) {
    const auto before = made(parent), after = made(parent);
    return static_cast<int>(
        std::count_if(before.begin(), before.end(),
                      [&](const std::string& name) { return after.contains(name); }));
}

void must(const Ending& end, const char* what) {
    if (!end.ok())
        throw std::runtime_error(std::string(what) + ": " + end.name + ": " + end.message);
}

void run(char** argv) {
    const std::string type = argv[5], parent = argv[6];
    const int rounds = std::atoi(argv[7]);
    const auto held_most = static_cast<std::size_t>(std::atoi(argv[8]));
    const int most = std::atoi(argv[9]);
    LoadedPlugin plugin(argv[1], argv[2]);
    must(plugin.open(argv[3], argv[4]), "open");
    std::deque<std::string> held;
    const auto release = [&] {
        must(plugin.detach(held.front()), "detach");
        held.pop_front();
    };
    int attached = 0, refused = 0, seen = 0;
    for (int round = 0; round < rounds; ++round) {
        const auto end = plugin.attach(type + "@" + parent);
        seen = std::max(seen, vgpus(parent));
        if (seen > most)
            throw std::runtime_error(std::to_string(seen) + " vGPUs on " + parent);
        if (end.ok()) {
            held.push_back(end.id);
            ++attached;
        } else {
            if (end.status != KATA_VFIO_E_NO_INSTANCES ||
                end.message.find(type) == std::string::npos ||
                end.message.find(parent) == std::string::npos)
                must(end, "attach");
            ++refused;
        }
        if (!held.empty() && (!end.ok() || held.size() >= held_most))
            release();
    }
    while (!held.empty())
        release();
    must(plugin.release(argv[3]), "release");
    std::printf("attached %d refused %d most %d\n", attached, refused, seen);
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 10) {
        std::fprintf(stderr,
                     "usage: %s LIBRARY CONFIG SANDBOX QMP_SOCKET TYPE PARENT ROUNDS HELD MOST\n",
                     argv[0]);
        return 2;
    }
    try {
        run(argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s: %s\n", argv[3], error.what());
        return 1;
    }
}
