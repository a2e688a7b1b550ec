// SPDX-License-Identifier: Apache-2.0
// One session and a thousand: commands a second, CPU and memory each, and whether a thousand make
// one command slower.
#include "config/base/file.hpp"
#include "qemu/qmp/command.hpp"
#include "qemu/qmp/session.hpp"
#include "test/bench/echo_peer.hpp"
#include "test/bench/qmp_series.hpp"
#include "test/fixtures/fake_qmp/run.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <malloc.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

namespace {

using namespace kata_vfio;
using namespace kata_vfio::qemu;
using bench::Clock;
namespace asio = boost::asio;

using Sessions = std::vector<std::shared_ptr<Session>>;

asio::awaitable<Sessions> connect_all(std::string path, std::int64_t count) {
    Sessions sessions;
    sessions.reserve(static_cast<std::size_t>(count));
    for (std::int64_t i = 0; i < count; ++i)
        sessions.push_back(co_await Session::connect(path));
    co_return sessions;
}

double resident_kib() {
    const auto text = read_file("/proc/self/statm").value_or("0 0");
    const auto pages = std::strtod(text.c_str() + text.find(' '), nullptr);
    return pages * static_cast<double>(::sysconf(_SC_PAGESIZE)) / 1024;
}

/// As many commands in flight as QEMU takes.
void pipelined(benchmark::State& state) {
    const bench::EchoPeer peer;
    double cpu = 0;
    std::int64_t commands = 0;
    fake::run([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(peer.path());
        for (auto _ : state) {
            const auto cpu_before = bench::thread_cpu_us();
            for (int round = 0; round < 100; ++round) {
                std::vector<Submitted> flying;
                for (std::size_t i = 0; i < Multiplexer::max_in_flight; ++i)
                    flying.push_back(session->submit(query_status()));
                for (auto& each : flying)
                    co_await session->finish(std::move(each));
                commands += static_cast<std::int64_t>(flying.size());
            }
            cpu += bench::thread_cpu_us() - cpu_before;
        }
    });
    state.SetItemsProcessed(commands);
    state.counters["cpu_us"] = cpu / static_cast<double>(commands);
}

/// The growth of this process by its idle sessions, each of which has had a command.
void idle_memory(benchmark::State& state) {
    const bench::EchoPeer peer;
    double each = 0;
    for (auto _ : state)
        fake::run([&]() -> asio::awaitable<void> {
            ::malloc_trim(0);
            const auto before = resident_kib();
            const auto sessions = co_await connect_all(peer.path(), state.range(0));
            for (const auto& session : sessions)
                co_await session->execute(query_status());
            each = (resident_kib() - before) / static_cast<double>(sessions.size());
        });
    state.counters["KiB_each"] = each;
}

/// The same load, a command each 500 us, spread over so many sessions: what one command takes.
void same_rate(benchmark::State& state) {
    const bench::EchoPeer peer;
    bench::Series series;
    fake::run([&]() -> asio::awaitable<void> {
        const auto sessions = co_await connect_all(peer.path(), state.range(0));
        asio::steady_timer tick(co_await asio::this_coro::executor);
        std::size_t next = 0;
        for (auto _ : state) {
            auto due = Clock::now();
            for (int i = 0; i < 2000; ++i) {
                due += std::chrono::microseconds(500);
                tick.expires_at(due);
                co_await tick.async_wait(asio::use_awaitable);
                auto command = query_status();
                const auto began = Clock::now();
                co_await sessions[next++ % sessions.size()]->execute(std::move(command));
                series.add(Clock::now() - began);
            }
        }
    });
    series.report(state);
}

BENCHMARK(pipelined)->Name("echo/eight_in_flight")->UseRealTime();
BENCHMARK(idle_memory)->Name("sessions/idle")->Arg(1000)->Iterations(1);
BENCHMARK(same_rate)->Name("sessions/same_rate")->Arg(1)->Arg(1000)->Iterations(5)->UseRealTime();

} // namespace
