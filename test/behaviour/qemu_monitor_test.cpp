// SPDX-License-Identifier: Apache-2.0
#include "prelude.hpp"

namespace {

class QemuMonitor : public OnQemu {};

} // namespace

TEST_F(QemuMonitor, SecondClientIsToldTheMonitorIsBusyAndServedLater) {
    QemuProcess qemu;
    run([&]() -> asio::awaitable<void> {
        auto first = co_await Session::connect(qemu.monitor(), patient());
        auto impatient = patient();
        impatient.greeting = 150ms;
        std::optional<Failure> refused;
        try {
            (void)co_await Session::connect(qemu.monitor(), impatient);
        } catch (const Failure& failure) {
            refused = failure;
        }
        EXPECT_TRUE(refused);
        if (refused) {
            EXPECT_EQ(refused->code(), Errc::monitor_busy);
            EXPECT_NE(std::string(refused->what()).find("but no greeting within 150 ms"),
                      std::string::npos)
                << refused->what();
        }
        // The first is not disturbed; when it leaves, the next gets the monitor.
        (void)co_await run_state(*first);
        first.reset();
        const auto next = co_await Session::connect(qemu.monitor(), patient());
        (void)co_await run_state(*next);
    });
}

TEST_F(QemuMonitor, TwoMonitorsBothGetEveryEvent) {
    QemuProcess qemu("pc", {}, 2);
    run([&]() -> asio::awaitable<void> {
        const auto one = co_await Session::connect(qemu.monitor(0), patient());
        const auto two = co_await Session::connect(qemu.monitor(1), patient());
        auto waiter = two->arm([](const Event& event) { return event.name == "STOP"; });
        auto stop = Command("stop");
        co_await one->execute(std::move(stop));
        const auto deadline = std::chrono::steady_clock::now() + 60s;
        const auto event = co_await waiter.wait_until(deadline);
        EXPECT_TRUE(event && event->seconds > 0);
        const auto state = co_await run_state(*two);
        EXPECT_EQ(state.status, "paused");
    });
}

TEST_F(QemuMonitor, SchemaOfTwoHundredKilobytesArrivesWhole) {
    QemuProcess qemu;
    run([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(qemu.monitor(), patient());
        auto command = Command("query-qmp-schema");
        const auto schema = co_await session->execute(std::move(command));
        EXPECT_TRUE(schema.is_array() && schema.get_array().size() > 500);
    });
}

TEST_F(QemuMonitor, FrozenQemuTimesOutAndNothingIsPoisoned) {
    QemuProcess qemu;
    run([&]() -> asio::awaitable<void> {
        auto timeouts = patient();
        timeouts.query = 100ms;
        const auto session = co_await Session::connect(qemu.monitor(), timeouts);
        auto ready = Command("query-version", {}, CommandClass::device_add);
        co_await session->execute(std::move(ready));
        qemu.freeze();
        std::optional<Failure> failed;
        try {
            (void)co_await run_state(*session);
        } catch (const Failure& failure) {
            failed = failure;
        }
        EXPECT_TRUE(failed && failed->code() == Errc::qmp_timeout);
        qemu.thaw();
        auto next = Command("query-version", {}, CommandClass::device_add);
        const auto version = co_await session->execute(std::move(next));
        EXPECT_TRUE(version.as_object().contains("qemu"));
        EXPECT_EQ(session->counters().late, 1u);
    });
}

TEST_F(QemuMonitor, StoppedIsUnresponsiveAndBackWhenItContinues) {
    QemuProcess qemu;
    std::vector<std::string> told;
    run([&]() -> asio::awaitable<void> {
        auto timeouts = patient();
        timeouts.query = 200ms;
        timeouts.unresponsive = 100ms;
        const auto session = co_await Session::connect(qemu.monitor(), timeouts);
        auto ready = Command("query-version", {}, CommandClass::device_add);
        co_await session->execute(std::move(ready));
        session->on_state([&](SessionState, const std::string& text) { told.push_back(text); });
        qemu.freeze();
        try {
            (void)co_await run_state(*session);
            ADD_FAILURE();
        } catch (const Failure& failure) {
            EXPECT_EQ(failure.code(), Errc::qmp_timeout) << failure.what();
        }
        EXPECT_EQ(session->state(), SessionState::unresponsive);
        qemu.thaw();
        auto next = Command("query-version", {}, CommandClass::device_add);
        co_await session->execute(std::move(next));
        EXPECT_EQ(session->state(), SessionState::running);
        EXPECT_EQ(session->counters().late, 1u);
    });
    ASSERT_EQ(told.size(), 2u);
    EXPECT_NE(told[0].find("has not answered query-status for 100 ms"), std::string::npos);
    EXPECT_NE(told[1].find("answers again"), std::string::npos);
}

TEST_F(QemuMonitor, QuitSaysShutdownBeforeItEnds) {
    QemuProcess qemu;
    run([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(qemu.monitor(), patient());
        auto waiter = session->arm([](const Event&) { return true; });
        auto command = Command("quit");
        try {
            co_await session->execute(std::move(command));
        } catch (const Failure& failure) {
            EXPECT_EQ(failure.code(), Errc::qemu_gone) << failure.what();
        }
        const auto deadline = std::chrono::steady_clock::now() + 60s;
        const auto event = co_await waiter.wait_until(deadline);
        EXPECT_TRUE(event && event->name == "SHUTDOWN");
        try {
            (void)co_await waiter.wait_until(deadline);
            ADD_FAILURE();
        } catch (const Failure& failure) {
            EXPECT_NE(std::string(failure.what()).find("its last event was SHUTDOWN"),
                      std::string::npos)
                << failure.what();
        }
    });
}

TEST_F(QemuMonitor, HumanMonitorIsNotQmp) {
    QemuProcess qemu("pc", {"-chardev", "socket,id=hmp,path={dir}/hmp.sock,server=on,wait=off",
                            "-mon", "chardev=hmp,mode=readline"});
    (void)run([&] { return machine_of(qemu.monitor()); }); // by then hmp.sock is there
    const auto failure = failure_of([&]() -> asio::awaitable<void> {
        (void)co_await Session::connect(qemu.directory() + "/hmp.sock", patient());
    });
    EXPECT_EQ(failure.code(), Errc::not_qmp);
    EXPECT_NE(failure.problem().find("instead of a greeting it sent 'QEMU "), std::string::npos)
        << failure.what();
}
