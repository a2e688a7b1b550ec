// SPDX-License-Identifier: Apache-2.0
// Faults of a peer while a device is plugged or unplugged; docs/testing.md has the whole list.
#include "hotplug_support.hpp"
#include "qemu/machine.hpp"

using namespace kata_vfio;
using namespace kata_vfio::qemu;
using namespace std::chrono_literals;
using fake::failure_of;
using fake::FakeQmp;
using fake::run;
namespace asio = boost::asio;
namespace json = boost::json;

namespace {

asio::awaitable<void> unplug_gpu(std::string path, Timeouts timeouts) {
    const auto session = co_await Session::connect(std::move(path), timeouts);
    co_await unplug(*session, "gpu0");
}
HotplugFailure unplug_failure(const FakeQmp& peer, const Timeouts& timeouts = patient()) {
    return failure_of<HotplugFailure>([&] { return unplug_gpu(peer.path(), timeouts); });
}

const json::value running{{"status", "running"}, {"running", true}};
const json::value nothing = json::array{json::object{{"name", "type"}, {"type", "string"}}};
const json::value still_there =
    json::array{json::object{{"name", "gpu0"}, {"type", "child<vfio-pci>"}}};

json::object of_device(const std::string& id) {
    return {{"device", id}, {"path", "/machine/peripheral/" + id}};
}

/// An unplug up to device_del, which has no answer yet.
FakeQmp& requested(FakeQmp& peer, const json::value& status = running) {
    return peer.greeting()
        .capabilities()
        .expect("query-status")
        .reply(status)
        .expect("device_del", {{"id", "gpu0"}});
}
/// .. and its answer.
FakeQmp& asked(FakeQmp& peer, const json::value& status = running) {
    return requested(peer, status).reply();
}
FakeQmp& proven(FakeQmp& peer) {
    return peer.expect("qom-list").reply(nothing).expect_hangup();
}

} // namespace

TEST(PeerFault, OthersDevicesRemovedMeanwhileAreNotOurs) {
    FakeQmp peer;
    proven(asked(peer)
               .event("DEVICE_DELETED", {{"path", "/machine/peripheral/gpu0/child"}})
               .event("DEVICE_DELETED", of_device("gpu1"))
               .event("DEVICE_DELETED", of_device("gpu00"))
               .event("DEVICE_DELETED", of_device("gpu0")))
        .start();
    run([&] { return unplug_gpu(peer.path(), patient()); });
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
    run([&] { return unplug_gpu(peer.path(), patient()); });
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
    run([&] { return unplug_gpu(peer.path(), patient()); });
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
    proven(requested(peer).expect("device_del").error("DeviceNotFound", "Device 'gpu0' not found"))
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
    proven(requested(peer)
               .event("DEVICE_DELETED", of_device("gpu0"))
               .error("GenericError", "Something of gpu0 went wrong"))
        .start();
    run([&] { return unplug_gpu(peer.path(), patient()); });
    EXPECT_EQ(peer.finish(), None{});
}

TEST(PeerFault, AbortOnResetBeforeTheRequestIsAnsweredIsACrash) {
    FakeQmp peer;
    requested(peer).event("RESET", {{"guest", true}, {"reason", "guest-reset"}}).close().start();
    expect(unplug_failure(peer), Errc::qemu_gone, DeviceState::unknown,
           "the removal of gpu0 was pending, of which QEMU 9 and later abort at a reset");
    EXPECT_EQ(peer.finish(), None{});
}

TEST(PeerFault, AlreadyInTheProcessThenSuccess) {
    FakeQmp peer;
    proven(requested(peer)
               .error("GenericError", "Device gpu0 is already in the process of unplug")
               .event("DEVICE_DELETED", of_device("gpu0")))
        .start();
    run([&] { return unplug_gpu(peer.path(), patient()); });
    EXPECT_EQ(peer.finish(), None{});
}

TEST(PeerFault, UnknownRunStateIsAskedAllTheSame) {
    FakeQmp peer;
    proven(asked(peer, {{"status", "brand-new"}, {"running", true}})
               .event("DEVICE_DELETED", of_device("gpu0")))
        .start();
    run([&] { return unplug_gpu(peer.path(), patient()); });
    EXPECT_EQ(peer.finish(), None{});
}

// A reboot completes a removal by itself: on 7.2 the event follows.
TEST(PeerFault, ResetDuringAnUnplugCompletesIt) {
    FakeQmp peer;
    proven(asked(peer)
               .event("RESET", {{"guest", true}, {"reason", "guest-reset"}})
               .event("DEVICE_DELETED", of_device("gpu0")))
        .start();
    run([&] { return unplug_gpu(peer.path(), patient()); });
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
