// SPDX-License-Identifier: Apache-2.0
#include "qemu/monitor.hpp"

#include "test/fixtures/fake_qmp/fake_machine.hpp"
#include "test/fixtures/fake_qmp/fake_qmp.hpp"
#include "test/fixtures/fake_qmp/run.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace kata_vfio;
using namespace kata_vfio::qemu;
using namespace std::chrono_literals;
using fake::Fault;
using fake::run;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace asio = boost::asio;

namespace {

/// A monitor on a simulated machine, and what its owner was told, in order.
class Reconnecting : public testing::Test {
  protected:
    Reconnecting() {
        timeouts_.greeting = timeouts_.query = 30s;
        limits_.first = 1ms;
        machine_.fill_bus(2); // fill2, fill3
    }

    Monitor::Hooks hooks() {
        Monitor::Hooks hooks;
        hooks.event = [this](const Event& event) {
            told_.push_back(event.name + (event.synthesised ? "*" : "") + ' ' +
                            std::string(event.text("device")));
            if (event.synthesised) {
                EXPECT_GT(event.seconds, 0);
            }
        };
        hooks.lost = [this](const Failure&) { told_.emplace_back("lost"); };
        hooks.back = [this](const std::vector<Event>& missed) {
            told_.push_back("back " + std::to_string(missed.size()));
        };
        hooks.given_up = [this](const Failure& why) {
            told_.push_back("given up: " + std::string(name(why.code())));
        };
        hooks.process_gone = [this] { return process_gone_; };
        return hooks;
    }

    asio::awaitable<std::shared_ptr<Monitor>> open() {
        auto make = [this]() -> asio::awaitable<Monitor::Connection> {
            ++connects_;
            Monitor::Connection connection;
            connection.session = co_await Session::connect(machine_.path(), timeouts_);
            co_return connection;
        };
        Monitor::Connect connect = std::move(make);
        auto owner = hooks();
        auto monitor = co_await Monitor::open(std::move(connect), std::move(owner), limits_);
        co_return monitor;
    }

    /// Until the loss has been seen and dealt with.
    static asio::awaitable<std::optional<Failure>> settle(Monitor& monitor) {
        while (monitor.connected()) {
            auto command = query_status();
            try {
                (void)co_await monitor.session()->execute(std::move(command));
            } catch (const Failure&) {
            }
        }
        try {
            co_await monitor.ready();
        } catch (const Failure& failure) {
            co_return failure;
        }
        co_return std::nullopt;
    }

    fake::FakeMachine machine_;
    Timeouts timeouts_;
    ReconnectLimits limits_;
    std::vector<std::string> told_;
    unsigned connects_ = 0;
    bool process_gone_ = false;
};

} // namespace

TEST_F(Reconnecting, NothingMissed) {
    run([this]() -> asio::awaitable<void> {
        const auto monitor = co_await open();
        EXPECT_THAT(monitor->last_known().devices, ElementsAre("fill2", "fill3"));
        machine_.hang_up();
        const auto failed = co_await settle(*monitor);
        EXPECT_FALSE(failed);
        EXPECT_TRUE(monitor->session()->running());
        monitor->close();
    });
    EXPECT_THAT(told_, ElementsAre("lost", "back 0"));
}

TEST_F(Reconnecting, RemovedAndStoppedWhileAway) {
    run([this]() -> asio::awaitable<void> {
        const auto monitor = co_await open();
        auto waiter = monitor->arm([](const Event& event) {
            return event.name == "DEVICE_DELETED" && event.text("device") == "fill3";
        });
        machine_.hang_up({"fill3"}, "paused");
        // Armed on the monitor, not on a connection, it hears what the next connection finds out.
        const auto deadline = std::chrono::steady_clock::now() + 30s;
        const auto event = co_await waiter.wait_until(deadline);
        EXPECT_TRUE(event && event->synthesised);
        EXPECT_EQ(event->text("path"), "/machine/peripheral/fill3");
        EXPECT_THAT(monitor->last_known().devices, ElementsAre("fill2"));
        EXPECT_EQ(monitor->last_known().state.status, "paused");
        EXPECT_TRUE(monitor->last_known().bus && !monitor->last_known().bus->find("fill3"));
        monitor->close();
    });
    EXPECT_THAT(told_, ElementsAre("lost", "back 2", "DEVICE_DELETED* fill3", "STOP* "));
}

TEST_F(Reconnecting, WhatItHeardOrWasToldIsNotMissed) {
    run([this]() -> asio::awaitable<void> {
        const auto monitor = co_await open();
        auto waiter = monitor->arm([](const Event& event) { return event.name == "STOP"; });
        machine_.eject("fill2");
        machine_.set_run_state("paused");
        const auto deadline = std::chrono::steady_clock::now() + 30s;
        EXPECT_TRUE(co_await waiter.wait_until(deadline));
        monitor->plugged("ours"); // and the machine does not have it
        machine_.hang_up();
        EXPECT_FALSE(co_await settle(*monitor));
        monitor->close();
    });
    EXPECT_THAT(told_, ElementsAre("DEVICE_DELETED ", "DEVICE_DELETED fill2", "STOP ", "lost",
                                   "back 1", "DEVICE_DELETED* ours"));
}

TEST_F(Reconnecting, DroppedAtTheDoorItKnocksAgain) {
    run([this]() -> asio::awaitable<void> {
        const auto monitor = co_await open();
        machine_.drop_clients(3);
        machine_.hang_up();
        EXPECT_FALSE(co_await settle(*monitor));
        monitor->close();
    });
    EXPECT_EQ(connects_, 1u + 4u);
    EXPECT_THAT(told_, ElementsAre("lost", "back 0"));
}

// The handshake and the questions of a reconnect, each broken off once by each fault.
TEST_F(Reconnecting, LossAtEveryStepOfTheReconnect) {
    timeouts_.greeting = timeouts_.query = 100ms; // for silence
    for (const auto fault : fake::all_faults)
        for (std::size_t step = 0; step < 5; ++step) { // greeting, capabilities, three answers
            SCOPED_TRACE(testing::Message() << fault << " at " << step);
            told_.clear();
            run([&]() -> asio::awaitable<void> {
                const auto monitor = co_await open();
                machine_.fault_at(step, fault);
                machine_.hang_up();
                const auto failed = co_await settle(*monitor);
                // Garbage during the handshake is another protocol's.
                const bool no_monitor = failed && failed->code() == Errc::not_qmp;
                if (no_monitor) {
                    EXPECT_LE(step, 1u); // no command is out that it could cost
                    co_await monitor->ready();
                } else {
                    EXPECT_FALSE(failed) << failed->what();
                }
                EXPECT_THAT(monitor->last_known().devices, ElementsAre("fill2", "fill3"));
                monitor->close();
            });
            EXPECT_TRUE(fault == Fault::none || machine_.struck());
            std::erase_if(told_, [](const std::string& line) {
                return !line.starts_with("lost") && !line.starts_with("back") &&
                       !line.starts_with("given");
            });
            EXPECT_EQ(told_.front(), "lost");
            EXPECT_EQ(told_.back(), "back 0");
            if (HasFailure())
                return;
        }
}

TEST_F(Reconnecting, KilledIsRefusedAtOnceAndEachReadyLooksOnce) {
    run([this]() -> asio::awaitable<void> {
        const auto monitor = co_await open();
        auto waiter = monitor->arm([](const Event&) { return true; });
        machine_.kill();
        const auto failed = co_await settle(*monitor);
        EXPECT_TRUE(failed && failed->code() == Errc::monitor_refused);
        EXPECT_EQ(monitor->state(), MonitorState::given_up);
        EXPECT_EQ(monitor->why()->code(), Errc::monitor_refused);
        EXPECT_EQ(connects_, 2u);
        try {
            (void)co_await waiter.wait_until(std::chrono::steady_clock::now() + 30s);
            ADD_FAILURE();
        } catch (const Failure& failure) {
            EXPECT_EQ(failure.code(), Errc::monitor_refused) << failure.what();
        }
        EXPECT_TRUE(co_await settle(*monitor));
        EXPECT_EQ(connects_, 3u);
        monitor->close();
    });
    EXPECT_THAT(told_, ElementsAre("lost", "given up: monitor_refused"));
}

TEST_F(Reconnecting, ADeadProcessIsNotLookedFor) {
    run([this]() -> asio::awaitable<void> {
        const auto monitor = co_await open();
        process_gone_ = true;
        machine_.hang_up();
        const auto failed = co_await settle(*monitor);
        EXPECT_TRUE(failed && failed->code() == Errc::qemu_gone);
        monitor->close();
    });
    EXPECT_EQ(connects_, 1u);
}

TEST_F(Reconnecting, AMonitorThatSomebodyElseTookIsBusyAndHadLater) {
    timeouts_.greeting = 50ms;
    limits_.total = 100ms;
    run([this]() -> asio::awaitable<void> {
        const auto monitor = co_await open();
        // The other one connects while we still have it, so it is served before us.
        auto other = [this](std::shared_ptr<Session>& got) -> asio::awaitable<void> {
            Timeouts patient;
            patient.greeting = 30s;
            got = co_await Session::connect(machine_.path(), patient);
        };
        std::shared_ptr<Session> got;
        const auto executor = co_await asio::this_coro::executor;
        asio::co_spawn(executor, other(got), asio::detached);
        auto turn = query_status();
        (void)co_await monitor->session()->execute(
            std::move(turn)); // by now it waits in the backlog
        machine_.hang_up();
        const auto failed = co_await settle(*monitor);
        EXPECT_TRUE(failed && failed->code() == Errc::monitor_busy);
        EXPECT_TRUE(got);
        got.reset();
        timeouts_.greeting = 30s;
        co_await monitor->ready();
        EXPECT_TRUE(monitor->connected());
        monitor->close();
    });
    EXPECT_THAT(told_, ElementsAre("lost", "given up: monitor_busy", "back 0"));
}

TEST_F(Reconnecting, CrashOnResetIsLookedForOnce) {
    run([this]() -> asio::awaitable<void> {
        const auto monitor = co_await open();
        auto waiter = monitor->arm([](const Event& event) { return event.name == "RESET"; });
        machine_.emit("RESET", {{"guest", true}});
        EXPECT_TRUE(co_await waiter.wait_until(std::chrono::steady_clock::now() + 30s));
        machine_.drop_clients(1000);
        machine_.hang_up();
        const auto failed = co_await settle(*monitor);
        EXPECT_TRUE(failed && failed->code() == Errc::qemu_gone);
        monitor->close();
    });
    EXPECT_EQ(connects_, 2u);
    EXPECT_THAT(told_, ElementsAre("RESET ", "lost", "given up: qemu_gone"));
}

TEST_F(Reconnecting, CloseEndsTheAttemptsAndWhoeverWaits) {
    limits_.first = 30s; // it must not be waited out: run() returns when nothing is left
    run([this]() -> asio::awaitable<void> {
        const auto monitor = co_await open();
        machine_.drop_clients(1000);
        machine_.hang_up();
        const auto executor = co_await asio::this_coro::executor;
        auto close = [this](std::shared_ptr<Monitor> self) -> asio::awaitable<void> {
            while (connects_ < 2 || self->session()->running()) // the first attempt has failed
                co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
            self->close();
        };
        asio::co_spawn(executor, close(monitor), asio::detached);
        const auto failed = co_await settle(*monitor);
        EXPECT_TRUE(failed && failed->code() == Errc::cancelled);
        EXPECT_EQ(monitor->state(), MonitorState::closed);
    });
}

TEST_F(Reconnecting, CommandInFlightSaysThatItsOutcomeIsNotKnown) {
    run([this]() -> asio::awaitable<void> {
        const auto monitor = co_await open();
        const auto session = monitor->session();
        machine_.fault_at(0, Fault::eof);
        auto command = device_add({{"driver", "virtio-rng-pci"}, {"id", "r"}, {"bus", "pci.0"}});
        std::optional<CommandLost> lost;
        try {
            (void)co_await session->execute(std::move(command));
        } catch (const CommandLost& failure) {
            lost = failure;
        }
        EXPECT_TRUE(lost);
        EXPECT_EQ(lost->code(), Errc::qemu_gone);
        EXPECT_TRUE(lost->sent());
        EXPECT_EQ(lost->command(), "device_add");
        EXPECT_EQ(lost->where(), machine_.path());
        EXPECT_THAT(lost->what(), HasSubstr("connection lost, whether it was done is not known"));
        EXPECT_THAT(lost->what(), HasSubstr(machine_.path()));
        // It was, and that shows.
        co_await monitor->ready();
        EXPECT_TRUE(monitor->last_known().devices.contains("r"));
        // On the old session nothing goes any more, and that is certain.
        auto late = query_status();
        try {
            (void)co_await session->execute(std::move(late));
            ADD_FAILURE();
        } catch (const CommandLost& failure) {
            EXPECT_FALSE(failure.sent());
            EXPECT_THAT(failure.what(), HasSubstr("connection lost, it was not sent"));
        }
        monitor->close();
    });
}
