// SPDX-License-Identifier: Apache-2.0
#include "hotplug_support.hpp"
#include "qemu/machine.hpp"

using namespace kata_vfio;
using namespace kata_vfio::qemu;
using namespace std::chrono_literals;
using fake::FakeMachine;
using fake::run;
namespace asio = boost::asio;

namespace {

class Unplugging : public testing::Test {
  protected:
    void SetUp() override {
        (void)run([&] { return plug_at(machine_.path(), gpu(), patient()); });
        ASSERT_EQ(machine_.devices(), Ids{"gpu0"});
    }
    FakeMachine machine_;
};

} // namespace

TEST_F(Unplugging, AtOnce) {
    run([&] { return unplug_at(machine_.path(), "gpu0", patient()); });
    EXPECT_EQ(machine_.devices(), Ids{});
    EXPECT_EQ(machine_.count("device_del"), 1u);
    EXPECT_EQ(machine_.count("qom-list"), 1u);
}

TEST_F(Unplugging, EventBeforeReply) {
    machine_.event_before_reply(true);
    run([&] { return unplug_at(machine_.path(), "gpu0", patient()); });
    EXPECT_EQ(machine_.devices(), Ids{});
}

TEST_F(Unplugging, WhatIsNotThereIsDone) {
    run([&] { return unplug_at(machine_.path(), "other", patient()); });
    EXPECT_EQ(machine_.devices(), Ids{"gpu0"});
}

TEST_F(Unplugging, LostInEarlyBootIsSentAgain) {
    machine_.swallow_device_del(true);
    auto timeouts = patient();
    timeouts.unplug_resend = 20ms;
    std::thread guest([&] {
        machine_.wait_count("device_del", 2);
        machine_.swallow_device_del(false); // booted
    });
    run([&] { return unplug_at(machine_.path(), "gpu0", timeouts); });
    guest.join();
    EXPECT_EQ(machine_.devices(), Ids{});
    EXPECT_GE(machine_.count("device_del"), 3u);
}

TEST_F(Unplugging, AlreadyPendingIsWaitedFor) {
    machine_.pending_unplug(2);
    auto timeouts = patient();
    timeouts.unplug_resend = 10ms;
    run([&] { return unplug_at(machine_.path(), "gpu0", timeouts); });
    EXPECT_EQ(machine_.count("device_del"), 3u);
    EXPECT_EQ(machine_.devices(), Ids{});
}

TEST_F(Unplugging, GuestThatNeverAnswers) {
    machine_.swallow_device_del(true);
    auto timeouts = patient();
    timeouts.unplug = 300ms;
    timeouts.unplug_resend = 20ms;
    const auto failure = unplug_failure(machine_.path(), "gpu0", timeouts);
    expect(failure, Errc::unplug_timeout, DeviceState::present,
           "unplug gpu0: the guest did not let gpu0 go within 300 ms (asked ");
    expect(failure, Errc::unplug_timeout, DeviceState::present,
           " times) (blocked by a guest that has not booted yet");
    EXPECT_GE(machine_.count("device_del"), 2u);
    EXPECT_EQ(machine_.devices(), Ids{"gpu0"});
    EXPECT_EQ(machine_.count("system_reset"), 0u);
}

TEST_F(Unplugging, BeforeTheFirstStartNothingIsSent) {
    machine_.set_run_state("prelaunch");
    expect(unplug_failure(machine_.path(), "gpu0"), Errc::guest_not_ready, DeviceState::present,
           "the guest has never been started (prelaunch)");
    EXPECT_EQ(machine_.count("device_del"), 0u);
}

TEST_F(Unplugging, StoppedGuestIsToldAndWaitedFor) {
    machine_.set_run_state("paused");
    std::vector<std::string> notes;
    run([&] {
        return unplug_at(machine_.path(), "gpu0", patient(), [&](const std::string& note) {
            notes.push_back(note);
            machine_.set_run_state("running");
        });
    });
    EXPECT_EQ(notes, Ids{"the guest is not running (paused): it can let gpu0 go only when it "
                         "continues"});
    EXPECT_EQ(machine_.devices(), Ids{});
}

TEST_F(Unplugging, QemuDies) {
    machine_.block_on("device_del");
    std::thread killer([&] {
        machine_.wait_blocked();
        machine_.kill();
    });
    expect(unplug_failure(machine_.path(), "gpu0"), Errc::qemu_gone, DeviceState::unknown,
           "unplug gpu0: device_del: QEMU closed the connection");
    killer.join();
}

TEST_F(Unplugging, HungQemuIsUnknown) {
    machine_.block_on("device_del");
    auto timeouts = patient();
    timeouts.device_del = timeouts.query = 300ms; // query-status must make it
    timeouts.unplug = 500ms;
    timeouts.unplug_resend = 100ms;
    run([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(machine_.path(), timeouts);
        try {
            co_await unplug(*session, "gpu0");
            ADD_FAILURE();
        } catch (const HotplugFailure& failure) {
            expect(failure, Errc::unplug_timeout, DeviceState::unknown,
                   "QEMU did not answer about gpu0 within 500 ms");
        }
        machine_.unblock();
    });
}

TEST_F(Unplugging, CancelledWhileTheGuestThinks) {
    machine_.swallow_device_del(true);
    machine_.block_on("device_del");
    const auto failure = cancelled_by(
        [&]() -> asio::awaitable<void> { co_await unplug_at(machine_.path(), "gpu0", patient()); },
        [&](const std::function<void()>& cancel) {
            machine_.wait_blocked();
            cancel();
            machine_.unblock();
        });
    EXPECT_EQ(failure.action(), "unplug gpu0");
    EXPECT_EQ(failure.advice(),
              "a removal asked for stays with the guest: detach again to see it through");
}

TEST_F(Unplugging, UnaskedRemovalReachesTheHandler) {
    run([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(machine_.path(), patient());
        std::vector<std::string> gone;
        session->on_event([&](const Event& event) { gone.emplace_back(event.text("device")); });
        auto waiter = session->arm([](const Event& e) { return e.text("device") == "gpu0"; });
        machine_.eject("gpu0");
        const auto deadline = std::chrono::steady_clock::now() + 30s;
        const auto event = co_await waiter.wait_until(deadline);
        EXPECT_TRUE(event);
        // The waiters are told first; the handler has by now seen the child's event at least.
        EXPECT_EQ(gone.front(), "");
        co_await unplug(*session, "gpu0");
        EXPECT_EQ(gone, (Ids{"", "gpu0"}));
    });
}
