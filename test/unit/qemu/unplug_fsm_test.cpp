// SPDX-License-Identifier: Apache-2.0
#include "qemu/unplug_fsm.hpp"

#include <gtest/gtest.h>

using namespace kata_vfio;
using namespace kata_vfio::qemu;
using namespace std::chrono_literals;
namespace ev = kata_vfio::qemu::unplug_event;

namespace {

class Unplug : public testing::Test {
  protected:
    UnplugAction go(const UnplugEvent& event) { return fsm_.resume(event, now_); }
    UnplugAction begin(const std::string& status = "running") {
        EXPECT_EQ(go(ev::Begin{}).kind, UnplugAction::query_status);
        return go(ev::Status{{status, status == "running"}});
    }
    static QmpFailure error(const std::string& desc, const std::string& cls = "GenericError") {
        return QmpFailure("device_del", cls, desc);
    }
    static Event event(const std::string& name, boost::json::object data = {}) {
        Event out;
        out.name = name;
        out.data = std::move(data);
        return out;
    }
    UnplugAction deleted() {
        return go(ev::Seen{event("DEVICE_DELETED", {{"device", "gpu0"}, {"path", "/p"}})});
    }
    std::chrono::milliseconds until(const UnplugAction& action) {
        return std::chrono::duration_cast<std::chrono::milliseconds>(action.until - start_);
    }
    static void expect_failure(const UnplugAction& action, Errc code, const std::string& text) {
        ASSERT_EQ(action.kind, UnplugAction::fail);
        EXPECT_EQ(name(action.why->code()), name(code));
        EXPECT_NE(std::string(action.why->what()).find(text), std::string::npos)
            << action.why->what();
    }

    const UnplugFsm::Clock::time_point start_{1000s};
    UnplugFsm::Clock::time_point now_ = start_;
    UnplugFsm fsm_{"gpu0", 20s, 1500ms};
};

} // namespace

TEST_F(Unplug, AcceptedThenDeletedThenProven) {
    EXPECT_EQ(begin().kind, UnplugAction::send_device_del);
    const auto wait = go(ev::Accepted{});
    EXPECT_EQ(wait.kind, UnplugAction::wait);
    EXPECT_EQ(until(wait), 1500ms);
    EXPECT_EQ(deleted().kind, UnplugAction::verify);
    EXPECT_EQ(go(ev::Verified{false}).kind, UnplugAction::done);
    EXPECT_EQ(fsm_.sent(), 1u);
    EXPECT_EQ(fsm_.note(), "");
}

TEST_F(Unplug, EventBeforeTheReply) {
    begin();
    EXPECT_EQ(deleted().kind, UnplugAction::verify);
    EXPECT_EQ(go(ev::Accepted{}).kind, UnplugAction::verify);
}

TEST_F(Unplug, AnErrorAfterTheEventIsNoError) {
    begin();
    deleted();
    EXPECT_EQ(go(ev::Refused{error("whatever")}).kind, UnplugAction::verify);
    EXPECT_EQ(go(ev::Unanswered{}).kind, UnplugAction::verify);
}

TEST_F(Unplug, NotFoundIsDone) {
    begin();
    EXPECT_EQ(go(ev::Refused{error("Device 'gpu0' not found", "DeviceNotFound")}).kind,
              UnplugAction::verify);
    EXPECT_EQ(go(ev::Verified{false}).kind, UnplugAction::done);
}

TEST_F(Unplug, AlreadyInTheProcessIsPending) {
    begin();
    const auto wait = go(ev::Refused{error("Device gpu0 is already in the process of unplug")});
    EXPECT_EQ(wait.kind, UnplugAction::wait);
    EXPECT_EQ(until(wait), 1500ms);
    EXPECT_EQ(
        go(ev::Refused{error("Hot-unplug failed: guest is busy (power indicator blinking)")}).kind,
        UnplugAction::wait);
}

TEST_F(Unplug, OtherRefusalsEndIt) {
    begin();
    expect_failure(go(ev::Refused{error("device_del not allowed while migrating")}),
                   Errc::guest_not_ready, "device_del not allowed while migrating");
}

TEST_F(Unplug, LostInEarlyBootIsSentAgainUntilTheDeadline) {
    begin();
    go(ev::Accepted{});
    for (unsigned sent = 2; now_ + 1500ms < start_ + 20s; ++sent) {
        now_ += 1500ms;
        ASSERT_EQ(go(ev::TimeIsUp{}).kind, UnplugAction::send_device_del);
        EXPECT_EQ(fsm_.sent(), sent);
        const auto wait = go(ev::Accepted{});
        ASSERT_EQ(wait.kind, UnplugAction::wait);
        EXPECT_LE(wait.until, start_ + 20s);
    }
    now_ = start_ + 20s;
    EXPECT_EQ(go(ev::TimeIsUp{}).kind, UnplugAction::verify);
    expect_failure(go(ev::Verified{true}), Errc::unplug_timeout,
                   "the guest did not let gpu0 go within 20000 ms (asked 14 times) (blocked by a "
                   "guest that has not booted yet, has no ACPI hot-plug, or is hung); detach again "
                   "once the guest has booted; the device is still in it");
    EXPECT_EQ(fsm_.state(), LifeState::unplug_pending);
}

TEST_F(Unplug, AMissedEventIsFoundByAskingAtTheDeadline) {
    begin();
    go(ev::Accepted{});
    now_ = start_ + 20s;
    EXPECT_EQ(go(ev::TimeIsUp{}).kind, UnplugAction::verify);
    EXPECT_EQ(go(ev::Verified{false}).kind, UnplugAction::done);
}

TEST_F(Unplug, BeforeTheFirstStartItIsRefusedUnsent) {
    for (const char* status : {"prelaunch", "preconfig", "inmigrate"}) {
        fsm_ = UnplugFsm("gpu0", 20s, 1500ms);
        expect_failure(begin(status), Errc::guest_not_ready,
                       "the guest has never been started (" + std::string(status) +
                           "): a removal asked for now would wedge gpu0");
        EXPECT_EQ(fsm_.sent(), 0u);
    }
}

TEST_F(Unplug, StoppedGuestIsWaitedForWithoutSendingAgain) {
    EXPECT_EQ(begin("paused").kind, UnplugAction::send_device_del);
    const auto wait = go(ev::Accepted{});
    EXPECT_EQ(until(wait), 20s);
    EXPECT_EQ(fsm_.note(),
              "the guest is not running (paused): it can let gpu0 go only when it continues");
    now_ += 5s;
    const auto resumed = go(ev::Seen{event("RESUME")});
    EXPECT_EQ(resumed.kind, UnplugAction::wait);
    EXPECT_EQ(until(resumed), 6500ms);
    EXPECT_EQ(fsm_.note(), "");
    EXPECT_EQ(deleted().kind, UnplugAction::verify);
}

TEST_F(Unplug, StoppedUntilTheDeadlineSaysSo) {
    begin();
    go(ev::Accepted{});
    EXPECT_EQ(until(go(ev::Seen{event("STOP")})), 20s);
    now_ = start_ + 20s;
    go(ev::TimeIsUp{});
    expect_failure(go(ev::Verified{true}), Errc::unplug_timeout,
                   "blocked by the guest is not running: paused); let the guest continue");
}

TEST_F(Unplug, GuestRefusalIsFinal) {
    begin();
    go(ev::Accepted{});
    expect_failure(go(ev::Seen{event("DEVICE_UNPLUG_GUEST_ERROR", {{"device", "gpu0"}})}),
                   Errc::guest_not_ready, "the guest refused to let gpu0 go");
}

TEST_F(Unplug, UnansweredIsWaitedOutThenUnknown) {
    begin();
    now_ += 10s;
    const auto wait = go(ev::Unanswered{});
    EXPECT_EQ(wait.kind, UnplugAction::wait);
    EXPECT_EQ(until(wait), 10s); // the re-send is overdue
    EXPECT_EQ(go(ev::TimeIsUp{}).kind, UnplugAction::send_device_del);
    now_ += 10s;
    expect_failure(go(ev::Unanswered{}), Errc::unplug_timeout,
                   "QEMU did not answer about gpu0 within 20000 ms");
    EXPECT_EQ(fsm_.state(), LifeState::lost);
}

TEST_F(Unplug, StillThereAfterTheEventIsToldAsItIs) {
    begin();
    go(ev::Accepted{});
    deleted();
    expect_failure(go(ev::Verified{true}), Errc::qmp_protocol,
                   "QEMU reported gpu0 removed, but /machine/peripheral still has it");
}

TEST_F(Unplug, WantsItsOwnEventsOnly) {
    EXPECT_TRUE(fsm_.wants(event("DEVICE_DELETED", {{"device", "gpu0"}})));
    EXPECT_FALSE(fsm_.wants(event("DEVICE_DELETED", {{"path", "/machine/peripheral/gpu0/vb"}})));
    EXPECT_FALSE(fsm_.wants(event("DEVICE_DELETED", {{"device", "gpu1"}})));
    EXPECT_TRUE(fsm_.wants(event("DEVICE_DELETED", {{"path", "/machine/peripheral/gpu0"}})));
    EXPECT_FALSE(fsm_.wants(event("RTC_CHANGE")));
    EXPECT_TRUE(fsm_.wants(event("STOP")));
    EXPECT_TRUE(fsm_.wants(event("RESUME")));
}

TEST_F(Unplug, LostConnectionIsToldAsItIsAndACrashAsOne) {
    Failure end(Errc::qemu_gone, "QEMU closed the connection");
    end.remedy("see QEMU's log");
    begin();
    go(ev::Accepted{});
    expect_failure(go(ev::Lost{end}), Errc::qemu_gone,
                   "QEMU closed the connection; see QEMU's log");
    EXPECT_EQ(fsm_.state(), LifeState::lost);

    fsm_ = UnplugFsm("gpu0", 20s, 1500ms);
    begin();
    go(ev::Accepted{});
    EXPECT_EQ(go(ev::Seen{event("RESET")}).kind, UnplugAction::wait);
    expect_failure(go(ev::Lost{end}), Errc::qemu_gone,
                   "see QEMU's log; the removal of gpu0 was pending, of which QEMU 9 and later "
                   "abort at a reset");
}
