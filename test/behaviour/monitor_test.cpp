// SPDX-License-Identifier: Apache-2.0
#include "prelude.hpp"

namespace {

class Monitor : public OnEachPeer {};
KATA_VFIO_ON_EACH_PEER(Monitor);

} // namespace

TEST_P(Monitor, GreetingMachineAndState) {
    const auto qemu = machine();
    run([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(qemu->monitor(), patient());
        EXPECT_GE(session->greeting().major, 7);
        const auto machine = co_await require_pc_machine(*session);
        EXPECT_TRUE(machine.starts_with("pc-i440fx-")) << machine;
        EXPECT_FALSE(machine.ends_with("-machine")) << machine;
        const auto state = co_await run_state(*session);
        EXPECT_EQ(state.status, "running");
        EXPECT_TRUE(state.running);
        EXPECT_EQ(session->counters().unknown, 0u);
    });
}

TEST_P(Monitor, LiveQ35IsRefused) {
    Machine::Options q35;
    q35.machine = "q35";
    const auto qemu = machine(q35);
    const auto failure = failure_of([&] { return machine_of(qemu->monitor()); });
    EXPECT_EQ(failure.code(), Errc::live_machine_refused);
    EXPECT_TRUE(failure.problem().starts_with("the running QEMU's machine is 'pc-q35-"))
        << failure.what();
    EXPECT_EQ(failure.advice(), "start the sandbox with machine_type = \"pc\"");
}

TEST_P(Monitor, KilledQemuIsGoneAndThenRefused) {
    const auto qemu = machine();
    const auto gone = failure_of([&]() -> asio::awaitable<void> {
        const WireTap tap = [&](WireDirection direction, std::string_view bytes) {
            if (direction == WireDirection::sent && bytes.find("query-pci") != bytes.npos)
                qemu->kill();
        };
        const auto session = co_await Session::connect(qemu->monitor(), patient(), tap);
        (void)co_await run_state(*session);
        auto command = query_pci();
        co_await session->execute(std::move(command));
    });
    EXPECT_EQ(gone.code(), Errc::qemu_gone) << gone.what();
    if (GetParam() == Peer::proxy) { // its socket is its owner's, who may find QEMU again
        const auto away = failure_of([&] { return machine_of(qemu->monitor()); });
        EXPECT_STREQ(away.verbatim().c_str(), "QMP backend is not connected");
        return;
    }
    const auto refused = failure_of([&] { return machine_of(qemu->monitor()); });
    EXPECT_EQ(refused.code(), Errc::monitor_refused) << refused.what();
}

TEST_P(Monitor, ErrorClassesAreKept) {
    const auto qemu = machine();
    run([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(qemu->monitor(), patient());
        auto unknown = Command("no-such-command");
        try {
            co_await session->execute(std::move(unknown));
            ADD_FAILURE();
        } catch (const QmpFailure& failure) {
            EXPECT_EQ(failure.error_class(), "CommandNotFound");
        }
        auto absent = device_del("zz");
        try {
            co_await session->execute(std::move(absent));
            ADD_FAILURE();
        } catch (const QmpFailure& failure) {
            EXPECT_EQ(failure.error_class(), "DeviceNotFound");
            EXPECT_EQ(failure.code(), Errc::not_attached);
            EXPECT_EQ(failure.verbatim(), "Device 'zz' not found");
        }
        auto again = Command("qmp_capabilities");
        try {
            co_await session->execute(std::move(again));
            ADD_FAILURE();
        } catch (const QmpFailure& failure) {
            EXPECT_EQ(failure.code(), Errc::qmp_protocol);
        }
    });
}

// The event of a command may come before its reply or after it; a waiter armed first has it.
TEST_P(Monitor, EventsOfOnesOwnCommandsAreSeenInOrder) {
    const auto qemu = machine();
    run([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(qemu->monitor(), patient());
        auto waiter = session->arm(
            [](const Event& event) { return event.name == "STOP" || event.name == "RESUME"; });
        for (int round = 0; round < 3; ++round) {
            auto stop = Command("stop");
            co_await session->execute(std::move(stop));
            const auto paused = co_await run_state(*session);
            EXPECT_EQ(paused.status, "paused");
            EXPECT_FALSE(paused.running);
            auto proceed = Command("cont");
            co_await session->execute(std::move(proceed));
            for (const char* name : {"STOP", "RESUME"}) {
                const auto event =
                    co_await waiter.wait_until(std::chrono::steady_clock::now() + 60s);
                EXPECT_EQ(event ? event->name : "none", name);
            }
        }
        EXPECT_EQ(session->counters().unknown, 0u);
    });
}

TEST_P(Monitor, StateBeforeTheFirstStart) {
    Machine::Options unstarted;
    unstarted.started = false;
    const auto qemu = machine(unstarted);
    run([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(qemu->monitor(), patient());
        auto state = co_await run_state(*session);
        EXPECT_EQ(state.status, "prelaunch");
        EXPECT_TRUE(state.before_start());
        auto start = Command("cont");
        co_await session->execute(std::move(start));
        state = co_await run_state(*session);
        EXPECT_TRUE(state.running);
        EXPECT_FALSE(state.before_start());
    });
}

// Each connection begins un-negotiated, and a monitor serves the next client when one leaves.
TEST_P(Monitor, ServesOneClientAfterTheOther) {
    const auto qemu = machine();
    for (int client = 0; client < 3; ++client)
        EXPECT_TRUE(run([&] { return machine_of(qemu->monitor()); }).starts_with("pc-i440fx-"));
}
