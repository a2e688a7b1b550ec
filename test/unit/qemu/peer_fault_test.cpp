// SPDX-License-Identifier: Apache-2.0
// Faults of a peer that need a script of their own; docs/testing.md has the whole list.
#include "qemu/hotplug.hpp"
#include "qemu/machine.hpp"
#include "qemu/qmp/error.hpp"
#include "test/fixtures/fake_qmp/fake_qmp.hpp"
#include "test/fixtures/fake_qmp/run.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <gtest/gtest.h>

#include <future>

using namespace kata_vfio;
using namespace kata_vfio::qemu;
using namespace std::chrono_literals;
using fake::failure_of;
using fake::FakeQmp;
using fake::run;
namespace asio = boost::asio;
namespace json = boost::json;

namespace {

using None = std::vector<std::string>;

Timeouts patient() {
    Timeouts timeouts;
    timeouts.greeting = timeouts.query = timeouts.device_add = timeouts.device_del = 30s;
    timeouts.unplug = 30s;
    return timeouts;
}

asio::awaitable<json::value> ask(Session& session, CommandClass cls = CommandClass::query) {
    auto command = Command("query-status", {}, cls);
    co_return co_await session.execute(std::move(command));
}

asio::awaitable<void> unplug_at(std::string path, Timeouts timeouts) {
    const auto session = co_await Session::connect(std::move(path), timeouts);
    co_await unplug(*session, "gpu0");
}
HotplugFailure unplug_failure(const FakeQmp& peer, const Timeouts& timeouts = patient()) {
    return failure_of<HotplugFailure>([&] { return unplug_at(peer.path(), timeouts); });
}

const json::value running{{"status", "running"}, {"running", true}};
const json::value nothing = json::array{json::object{{"name", "type"}, {"type", "string"}}};
const json::value still_there =
    json::array{json::object{{"name", "gpu0"}, {"type", "child<vfio-pci>"}}};

json::object of_device(const std::string& id) {
    return {{"device", id}, {"path", "/machine/peripheral/" + id}};
}

/// An unplug up to device_del being answered.
FakeQmp& asked(FakeQmp& peer, const json::value& status = running) {
    return peer.greeting()
        .capabilities()
        .expect("query-status")
        .reply(status)
        .expect("device_del", {{"id", "gpu0"}})
        .reply();
}
FakeQmp& proven(FakeQmp& peer) {
    return peer.expect("qom-list").reply(nothing).expect_hangup();
}

void expect(const HotplugFailure& failure, Errc code, DeviceState left, const std::string& text) {
    EXPECT_EQ(name(failure.code()), name(code));
    EXPECT_EQ(failure.left(), left);
    EXPECT_NE(std::string(failure.what()).find(text), std::string::npos) << failure.what();
}

} // namespace

// The monitor belongs to another client, which leaves while we wait.
TEST(PeerFault, LateGreetingIsTaken) {
    std::promise<void> other_left;
    FakeQmp peer;
    peer.call([&] { other_left.get_future().wait(); })
        .greeting()
        .capabilities()
        .expect("query-status")
        .reply("served")
        .expect_hangup()
        .start();
    run([&]() -> asio::awaitable<void> {
        const auto executor = co_await asio::this_coro::executor;
        // Its turn comes when connecting has come to where it waits.
        asio::post(executor, [&] { other_left.set_value(); });
        const auto session = co_await Session::connect(peer.path(), patient());
        const auto value = co_await ask(*session);
        EXPECT_EQ(value, "served");
    });
    EXPECT_EQ(peer.finish(), None{});
}

// `GET / HTTP/1.1` makes QEMU's parser complain four times.
TEST(PeerFault, BurstOfErrorsWithoutIdCostsWhatIsInFlightAndNoMore) {
    FakeQmp peer;
    peer.greeting().capabilities().expect("query-status");
    for (int i = 0; i < 4; ++i)
        peer.error_without_id("JSON parse error, stray 'GET'");
    peer.event("STOP").expect("query-status").reply("well").expect_hangup().start();
    run([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(peer.path(), patient());
        auto waiter = session->arm([](const Event& event) { return event.name == "STOP"; });
        try {
            (void)co_await ask(*session);
            ADD_FAILURE();
        } catch (const Failure& failure) {
            EXPECT_STREQ(failure.what(),
                         "QEMU could not read query-status: JSON parse error, stray 'GET'");
        }
        const auto event = co_await waiter.wait_until(std::chrono::steady_clock::now() + 30s);
        EXPECT_TRUE(event);
        const auto value = co_await ask(*session);
        EXPECT_EQ(value, "well");
        EXPECT_EQ(session->counters().orphans, 3u);
    });
    EXPECT_EQ(peer.finish(), None{});
}

TEST(PeerFault, SixteenMebibytesAndOneByteCostOneCommand) {
    const std::size_t limit = FrameLimits().max_bytes;
    const std::string head = "{\"return\": \"", tail = "\", \"id\": N}";
    const auto line = [&](std::size_t size, const char* id) {
        auto text = head + std::string(size - head.size() - tail.size(), 'x') + tail;
        text[text.size() - 2] = *id;
        return text;
    };
    FakeQmp peer;
    peer.greeting()
        .capabilities()
        .expect("query-status")
        .raw(line(limit, "1") + "\r\n")
        .expect("query-status")
        .raw(line(limit + 1, "2") + "\r\n")
        .expect("query-status")
        .reply("well")
        .expect_hangup()
        .start();
    run([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(peer.path(), patient());
        const auto largest = co_await ask(*session);
        EXPECT_EQ(largest.as_string().size(), limit - head.size() - tail.size());
        try {
            (void)co_await ask(*session);
            ADD_FAILURE();
        } catch (const Failure& failure) {
            EXPECT_EQ(failure.code(), Errc::qmp_protocol);
            EXPECT_NE(failure.problem().find("longer than our limit"), std::string::npos)
                << failure.problem();
        }
        const auto value = co_await ask(*session);
        EXPECT_EQ(value, "well");
    });
    EXPECT_EQ(peer.finish(), None{});
}

TEST(PeerFault, LinesMayEndAnyWayOrNotAtAll) {
    for (const std::string end : {"\r\n", "\n", "", "\n\n\r\n  \t"}) {
        SCOPED_TRACE(testing::PrintToString(end));
        FakeQmp peer;
        peer.raw("{\"QMP\": {}}" + end)
            .expect("qmp_capabilities")
            .raw("{\"return\": {}, \"id\": 0}" + end)
            .expect("query-status")
            .raw("{\"event\": \"STOP\"}" + end + "{\"id\": 1, \"return\": \"well\"}" + end)
            .expect_hangup()
            .start();
        run([&]() -> asio::awaitable<void> {
            const auto session = co_await Session::connect(peer.path(), patient());
            const auto value = co_await ask(*session);
            EXPECT_EQ(value, "well");
            EXPECT_EQ(session->counters().bad, 0u);
        });
        EXPECT_EQ(peer.finish(), None{});
    }
}

// QEMU stands still while we write: the socket's buffer fills up and stays full.
TEST(PeerFault, UnreadPeerHoldsNobodyUpAndIsServedWhenItReads) {
    std::promise<void> wakes;
    FakeQmp peer;
    peer.greeting()
        .capabilities()
        .call([&] { wakes.get_future().wait(); })
        .expect("device_add")
        .reply("late")
        .expect("query-status")
        .reply("well")
        .expect_hangup()
        .start();
    run([&]() -> asio::awaitable<void> {
        auto timeouts = patient();
        timeouts.query = timeouts.device_del = 60ms;
        const auto session = co_await Session::connect(peer.path(), timeouts);
        auto large =
            Command("device_add", {{"id", std::string(4u << 20, 'x')}}, CommandClass::device_del);
        try {
            co_await session->execute(std::move(large));
            ADD_FAILURE();
        } catch (const Failure& failure) {
            EXPECT_EQ(failure.code(), Errc::qmp_timeout);
        }
        try {
            (void)co_await ask(*session);
            ADD_FAILURE();
        } catch (const Failure& failure) {
            EXPECT_EQ(failure.blocker(),
                      "1 earlier commands QEMU has not answered, the oldest device_add");
        }
        wakes.set_value();
        // What timed out before it was written is never sent.
        const auto value = co_await ask(*session, CommandClass::device_add);
        EXPECT_EQ(value, "well");
        EXPECT_EQ(session->counters().late, 1u);
    });
    EXPECT_EQ(peer.finish(), None{});
}

TEST(PeerFault, ClosingWhileThePeerDoesNotReadEndsAtOnce) {
    std::promise<void> wakes;
    FakeQmp peer;
    peer.greeting().capabilities().call([&] { wakes.get_future().wait(); }).start();
    const auto began = std::chrono::steady_clock::now();
    run([&]() -> asio::awaitable<void> {
        auto timeouts = patient();
        timeouts.device_del = 20ms;
        const auto session = co_await Session::connect(peer.path(), timeouts);
        auto large =
            Command("device_add", {{"id", std::string(4u << 20, 'x')}}, CommandClass::device_del);
        try {
            co_await session->execute(std::move(large));
            ADD_FAILURE();
        } catch (const Failure& failure) {
            EXPECT_EQ(failure.code(), Errc::qmp_timeout);
        }
    });
    EXPECT_LT(std::chrono::steady_clock::now() - began, 30s);
    wakes.set_value();
    (void)peer.finish();
}

TEST(PeerFault, OthersDevicesRemovedMeanwhileAreNotOurs) {
    FakeQmp peer;
    proven(asked(peer)
               .event("DEVICE_DELETED", {{"path", "/machine/peripheral/gpu0/child"}})
               .event("DEVICE_DELETED", of_device("gpu1"))
               .event("DEVICE_DELETED", of_device("gpu00"))
               .event("DEVICE_DELETED", of_device("gpu0")))
        .start();
    run([&] { return unplug_at(peer.path(), patient()); });
    EXPECT_EQ(peer.finish(), None{});

    // Without our own there is no end but the deadline, and then QEMU is asked.
    FakeQmp silent;
    asked(silent)
        .event("DEVICE_DELETED", of_device("gpu1"))
        .expect("qom-list")
        .reply(still_there)
        .expect_hangup()
        .start();
    auto timeouts = patient();
    timeouts.unplug = 60ms;
    timeouts.unplug_resend = 10s;
    expect(unplug_failure(silent, timeouts), Errc::unplug_timeout, DeviceState::present,
           "the guest did not let gpu0 go within 60 ms (asked 1 time)");
    EXPECT_EQ(silent.finish(), None{});
}

TEST(PeerFault, RemovedTwiceIsRemovedOnce) {
    FakeQmp peer;
    proven(asked(peer)
               .event("DEVICE_DELETED", of_device("gpu0"))
               .event("DEVICE_DELETED", of_device("gpu0")))
        .start();
    run([&] { return unplug_at(peer.path(), patient()); });
    EXPECT_EQ(peer.finish(), None{});
}

// The guest ejects it while query-status is under way: device_del then finds nothing.
TEST(PeerFault, UnsolicitedRemovalInTheMiddleIsDone) {
    FakeQmp peer;
    proven(peer.greeting()
               .capabilities()
               .expect("query-status")
               .event("DEVICE_DELETED", of_device("gpu0"))
               .reply(running)
               .expect("device_del")
               .error("DeviceNotFound", "Device 'gpu0' not found"))
        .start();
    run([&] { return unplug_at(peer.path(), patient()); });
    EXPECT_EQ(peer.finish(), None{});
}

TEST(PeerFault, GuestThatRefusesIsToldAndTheDeviceStays) {
    FakeQmp peer;
    asked(peer)
        .event("DEVICE_UNPLUG_GUEST_ERROR", of_device("gpu1")) // another's
        .event("DEVICE_UNPLUG_GUEST_ERROR", of_device("gpu0"))
        .expect_hangup()
        .start();
    expect(unplug_failure(peer), Errc::guest_not_ready, DeviceState::present,
           "the guest refused to let gpu0 go; stop what uses the device in the guest");
    EXPECT_EQ(peer.finish(), None{});
}

// The first request was carried out, its answer and event were lost.
TEST(PeerFault, NotFoundAfterAnUnansweredRequestIsDone) {
    FakeQmp peer;
    proven(peer.greeting()
               .capabilities()
               .expect("query-status")
               .reply(running)
               .expect("device_del")
               .expect("device_del")
               .error("DeviceNotFound", "Device 'gpu0' not found"))
        .start();
    auto timeouts = patient();
    timeouts.device_del = timeouts.unplug_resend = 300ms;
    run([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(peer.path(), timeouts);
        co_await unplug(*session, "gpu0");
    });
    EXPECT_EQ(peer.finish(), None{});
}

// libvirt's rule: the event was seen, so the error is none.
TEST(PeerFault, ErrorAfterTheEventIsNoError) {
    FakeQmp peer;
    proven(peer.greeting()
               .capabilities()
               .expect("query-status")
               .reply(running)
               .expect("device_del")
               .event("DEVICE_DELETED", of_device("gpu0"))
               .error("GenericError", "Something of gpu0 went wrong"))
        .start();
    run([&] { return unplug_at(peer.path(), patient()); });
    EXPECT_EQ(peer.finish(), None{});
}

TEST(PeerFault, AbortOnResetBeforeTheRequestIsAnsweredIsACrash) {
    FakeQmp peer;
    peer.greeting()
        .capabilities()
        .expect("query-status")
        .reply(running)
        .expect("device_del")
        .event("RESET", {{"guest", true}, {"reason", "guest-reset"}})
        .close()
        .start();
    expect(unplug_failure(peer), Errc::qemu_gone, DeviceState::unknown,
           "the removal of gpu0 was pending, of which QEMU 9 and later abort at a reset");
    EXPECT_EQ(peer.finish(), None{});
}

TEST(PeerFault, AlreadyInTheProcessThenSuccess) {
    FakeQmp peer;
    proven(peer.greeting()
               .capabilities()
               .expect("query-status")
               .reply(running)
               .expect("device_del")
               .error("GenericError", "Device gpu0 is already in the process of unplug")
               .event("DEVICE_DELETED", of_device("gpu0")))
        .start();
    run([&] { return unplug_at(peer.path(), patient()); });
    EXPECT_EQ(peer.finish(), None{});
}

TEST(PeerFault, UnknownRunStateIsAskedAllTheSame) {
    FakeQmp peer;
    proven(asked(peer, {{"status", "brand-new"}, {"running", true}})
               .event("DEVICE_DELETED", of_device("gpu0")))
        .start();
    run([&] { return unplug_at(peer.path(), patient()); });
    EXPECT_EQ(peer.finish(), None{});
}

// A reboot completes a removal by itself: on 7.2 the event follows.
TEST(PeerFault, ResetDuringAnUnplugCompletesIt) {
    FakeQmp peer;
    proven(asked(peer)
               .event("RESET", {{"guest", true}, {"reason", "guest-reset"}})
               .event("DEVICE_DELETED", of_device("gpu0")))
        .start();
    run([&] { return unplug_at(peer.path(), patient()); });
    EXPECT_EQ(peer.finish(), None{});
}

// .. and 10.0 aborts of it (hw/core/resetcontainer.c).
TEST(PeerFault, AbortOnResetDuringAnUnplugIsACrash) {
    FakeQmp peer;
    asked(peer).event("RESET", {{"guest", true}, {"reason", "guest-reset"}}).close().start();
    expect(unplug_failure(peer), Errc::qemu_gone, DeviceState::unknown,
           "its last event was RESET; QEMU ended right after a guest reset, which is a crash: see "
           "its log; the removal of gpu0 was pending, of which QEMU 9 and later abort at a reset");
    EXPECT_EQ(peer.finish(), None{});
}

TEST(PeerFault, ShutdownDuringAnUnplugIsNoRemoval) {
    FakeQmp peer;
    asked(peer).event("SHUTDOWN", {{"guest", true}, {"reason", "guest-shutdown"}}).close().start();
    expect(unplug_failure(peer), Errc::qemu_gone, DeviceState::unknown,
           "its last event was SHUTDOWN; see QEMU's log for why it ended");
    EXPECT_EQ(peer.finish(), None{});
}

// A child's removal announced by a device_add that fails is no removal of the device.
TEST(PeerFault, FailedDeviceAddMayAnnounceAChildsRemoval) {
    FakeQmp peer;
    peer.greeting()
        .capabilities()
        .expect("query-pci")
        .reply(json::array{json::object{{"bus", 0}, {"devices", json::array()}}})
        .expect("device_add")
        .event("DEVICE_DELETED", {{"path", "/machine/peripheral/gpu0/child"}})
        .error("GenericError", "vfio 0000:00:02.0: group 4 is not viable")
        .expect_hangup()
        .start();
    const auto failure = failure_of<HotplugFailure>([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(peer.path(), patient());
        VfioDevice device("gpu0", "/sys/bus/pci/devices/0000:00:02.0");
        (void)co_await plug(*session, std::move(device));
    });
    expect(failure, Errc::group_not_viable, DeviceState::absent, "group 4 is not viable");
    EXPECT_EQ(peer.finish(), None{});
}
