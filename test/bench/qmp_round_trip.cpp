// SPDX-License-Identifier: Apache-2.0
// One command at a time on a real QEMU: our session beside the least a client can do, a blocking
// loop over write(2) and read(2) on a monitor of the same QEMU.
#include "qemu/qmp/command.hpp"
#include "qemu/qmp/session.hpp"
#include "test/behaviour/qemu_process.hpp"
#include "test/bench/qmp_series.hpp"
#include "test/fixtures/fake_qmp/run.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

namespace {

using namespace kata_vfio;
using namespace kata_vfio::qemu;
using bench::Clock;
namespace asio = boost::asio;

constexpr int trips = 500;

/// Both take turns on one QEMU, each on its own monitor.
const behaviour::QemuProcess& machine() {
    static const behaviour::QemuProcess qemu("none", {"-S"}, 2);
    return qemu;
}

class BlockingLoop {
  public:
    explicit BlockingLoop(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
        if (::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
            throw std::runtime_error("can't connect to " + path);
        line();
        command("{\"execute\":\"qmp_capabilities\"}\n");
    }
    void command(std::string_view text) {
        if (::write(fd_.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
            throw std::runtime_error("short write");
        line();
    }

  private:
    void line() {
        std::size_t have = 0;
        do {
            const auto n = ::read(fd_.get(), buffer_ + have, sizeof buffer_ - have);
            if (n <= 0)
                throw std::runtime_error("QEMU closed the monitor");
            have += static_cast<std::size_t>(n);
        } while (buffer_[have - 1] != '\n');
    }

    UniqueFd fd_;
    char buffer_[65536];
};

void blocking_loop(benchmark::State& state) {
    BlockingLoop client(machine().monitor(0));
    bench::Series series;
    double cpu = 0;
    for (auto _ : state) {
        const auto cpu_before = bench::thread_cpu_us();
        const auto batch = Clock::now();
        for (int i = 0; i < trips; ++i) {
            const auto began = Clock::now();
            client.command("{\"execute\":\"query-status\",\"id\":12345}\n");
            series.add(Clock::now() - began);
        }
        state.SetIterationTime(std::chrono::duration<double>(Clock::now() - batch).count());
        cpu += bench::thread_cpu_us() - cpu_before;
    }
    series.report(state);
    state.counters["cpu_us"] = cpu / static_cast<double>(series.size());
}

void session(benchmark::State& state) {
    bench::Series series;
    double cpu = 0;
    fake::run([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(machine().monitor(1));
        for (auto _ : state) {
            const auto cpu_before = bench::thread_cpu_us();
            const auto batch = Clock::now();
            for (int i = 0; i < trips; ++i) {
                auto command = query_status();
                const auto began = Clock::now();
                co_await session->execute(std::move(command));
                series.add(Clock::now() - began);
            }
            state.SetIterationTime(std::chrono::duration<double>(Clock::now() - batch).count());
            cpu += bench::thread_cpu_us() - cpu_before;
        }
    });
    series.report(state);
    state.counters["cpu_us"] = cpu / static_cast<double>(series.size());
}

BENCHMARK(blocking_loop)->Name("round_trip/blocking_loop")->UseManualTime();
BENCHMARK(session)->Name("round_trip/session")->UseManualTime();

} // namespace
