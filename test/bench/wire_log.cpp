// SPDX-License-Identifier: Apache-2.0
// What the QMP log costs a command, and how large it gets.
//
//   kata-vfio-bench-log [COMMANDS]
//
// The same session against a simulated machine without and with a log on /dev/shm, the two taking
// turns; beside that the log's own share on the session's thread, by calling its tap alone, and the
// size of what one attach and detach leave in it.
#include "qemu/wire_log/wire_log.hpp"
#include "test/fixtures/fake_qmp/fake_machine.hpp"
#include "test/fixtures/fake_qmp/run.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace {

using namespace kata_vfio;
using namespace kata_vfio::qemu;
namespace asio = boost::asio;
namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double ns(Clock::duration d) {
    return std::chrono::duration<double, std::nano>(d).count();
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

struct ScratchDirectory {
    ScratchDirectory() {
        std::string name = "/dev/shm/wire-log-bench.XXXXXX";
        if (!::mkdtemp(name.data())) {
            std::perror("bench: mkdtemp");
            std::exit(1);
        }
        path = name;
    }
    ~ScratchDirectory() { fs::remove_all(path); }
    fs::path path;
};

/// One connection's commands; the time of each, in ns.
std::vector<double> commands(const std::string& socket, std::shared_ptr<WireLog> log, int count) {
    return fake::run([&]() -> asio::awaitable<std::vector<double>> {
        const auto session = co_await connect_logged(log, socket);
        std::vector<double> times;
        for (int i = 0; i < count; ++i) {
            auto command = query_status();
            const auto began = Clock::now();
            co_await session->execute(std::move(command));
            times.push_back(ns(Clock::now() - began));
        }
        co_return times;
    });
}

void round_trips(const fs::path& directory, int count) {
    fake::FakeMachine::Options options;
    options.keep_commands = false;
    fake::FakeMachine machine(options);
    std::vector<double> bare, logged;
    constexpr int rounds = 10;
    for (int round = 0; round < rounds; ++round)
        for (const bool with_log : {false, true}) {
            const auto log = with_log
                                 ? WireLog::start(WireLogOptions(directory / "wire.log"), "bench")
                                 : nullptr;
            auto times = commands(machine.path(), log, count / rounds);
            auto& all = with_log ? logged : bare;
            all.insert(all.end(), times.begin(), times.end());
        }
    std::printf("a command, without the log       median %9.0f ns\n", median(bare));
    std::printf("a command, with the log          median %9.0f ns   (%+.0f ns)\n", median(logged),
                median(logged) - median(bare));
}

/// Two calls of the tap a command, spaced as commands are, so that the log's thread sleeps between.
void tap_alone(const fs::path& directory, int count) {
    const auto log = WireLog::start(WireLogOptions(directory / "tap.log"), "bench");
    const auto tap = log->tap();
    std::vector<double> times;
    const std::string sent = "{\"execute\":\"query-status\",\"id\":12345}\n";
    const std::string received = "{\"return\": {\"status\": \"running\", \"singlestep\": false, "
                                 "\"running\": true}, \"id\": 12345}\r\n";
    for (int i = 0; i < count; ++i) {
        const auto began = Clock::now();
        tap(WireDirection::sent, sent);
        const auto middle = Clock::now();
        log->flush();
        const auto again = Clock::now();
        tap(WireDirection::received, received);
        times.push_back(ns(middle - began) + ns(Clock::now() - again));
        log->flush();
    }
    const auto busy = Clock::now();
    for (int i = 0; i < count; ++i) {
        tap(WireDirection::sent, sent);
        tap(WireDirection::received, received);
    }
    const auto each = ns(Clock::now() - busy) / count;
    std::printf(
        "its share on the session's thread median %8.0f ns   (writer asleep, woken twice)\n",
        median(times));
    std::printf("                                    mean %8.0f ns   (writer busy)\n", each);
}

void attach_size(const fs::path& directory) {
    fake::FakeMachine machine;
    const auto path = directory / "attach.log";
    fake::run([&]() -> asio::awaitable<void> {
        const auto session = co_await connect_logged(
            WireLog::start(WireLogOptions(path), machine.path()), machine.path());
        boost::json::object gpu{{"driver", "vfio-pci"}, {"id", "vfio-0000.00.02.0"}};
        gpu["bus"] = "pci.0";
        gpu["addr"] = "05.0";
        gpu["sysfsdev"] = "/sys/bus/pci/devices/0000:00:02.0";
        std::vector<Command> all{qom_get("/machine", "type"),
                                 query_status(),
                                 query_pci(),
                                 device_add(gpu),
                                 query_pci(),
                                 device_del("vfio-0000.00.02.0")};
        for (auto& command : all) {
            auto next = std::move(command);
            co_await session->execute(std::move(next));
        }
    });
    std::printf("connect, attach and detach leave %10ju bytes\n",
                static_cast<std::uintmax_t>(fs::file_size(path)));
}

} // namespace

int main(int argc, char** argv) {
    const int count = argc > 1 ? std::max(std::atoi(argv[1]), 10) : 20000;
    const ScratchDirectory scratch;
    round_trips(scratch.path, count);
    tap_alone(scratch.path, count);
    attach_size(scratch.path);
}
