// SPDX-License-Identifier: Apache-2.0
#include "qemu/hotplug.hpp"

#include "qemu/machine.hpp"
#include "test/fixtures/fake_qmp/fake_machine.hpp"
#include "test/fixtures/fake_qmp/fake_qmp.hpp"
#include "test/fixtures/fake_qmp/run.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/post.hpp>
#include <gtest/gtest.h>

using namespace kata_vfio;
using namespace kata_vfio::qemu;
using namespace std::chrono_literals;
using fake::failure_of;
using fake::FakeMachine;
using fake::FakeQmp;
using fake::run;
namespace asio = boost::asio;

namespace {

using Ids = std::vector<std::string>;

Timeouts patient() {
    Timeouts timeouts;
    timeouts.greeting = timeouts.query = timeouts.device_add = timeouts.device_del = 30s;
    timeouts.unplug = 30s;
    timeouts.unplug_resend = 10s;
    return timeouts;
}

VfioDevice gpu(const std::string& id = "gpu0") {
    return VfioDevice(id, "/sys/bus/pci/devices/0000:00:02.0");
}

asio::awaitable<Plugged> plug_at(std::string path, VfioDevice device, Timeouts timeouts) {
    const auto session = co_await Session::connect(std::move(path), timeouts);
    co_return co_await plug(*session, std::move(device));
}

asio::awaitable<void> unplug_at(std::string path, std::string id, Timeouts timeouts,
                                UnplugProgress progress = {}) {
    const auto session = co_await Session::connect(std::move(path), timeouts);
    co_await unplug(*session, std::move(id), std::move(progress));
}

HotplugFailure plug_failure(const std::string& path, const VfioDevice& device,
                            const Timeouts& timeouts = patient()) {
    return failure_of<HotplugFailure>([&] { return plug_at(path, device, timeouts); });
}

HotplugFailure unplug_failure(const std::string& path, const std::string& id,
                              const Timeouts& timeouts = patient()) {
    return failure_of<HotplugFailure>([&] { return unplug_at(path, id, timeouts); });
}

void expect(const HotplugFailure& failure, Errc code, DeviceState left, const std::string& text) {
    EXPECT_EQ(name(failure.code()), name(code));
    EXPECT_EQ(failure.left(), left);
    EXPECT_NE(std::string(failure.what()).find(text), std::string::npos) << failure.what();
}

} // namespace

TEST(Machine, PcFamilyOnly) {
    for (const char* type : {"pc-i440fx-7.2-machine", "pc-i440fx-jammy-machine", "pc-1.3-machine"})
        EXPECT_TRUE(is_pc_machine(type)) << type;
    for (const char* type : {"pc-q35-7.2-machine", "q35", "microvm-machine", "isapc-machine",
                             "none-machine", "pc-", "", "xpc-i440fx-7.2-machine"})
        EXPECT_FALSE(is_pc_machine(type)) << type;
}

TEST(Machine, RunStateNeedsAStatus) {
    EXPECT_TRUE(parse_run_state({{"status", "running"}, {"running", true}}).running);
    EXPECT_FALSE(parse_run_state({{"status", "brand-new"}, {"running", false}}).running);
    EXPECT_TRUE(parse_run_state({{"status", "prelaunch"}, {"running", false}}).before_start());
    EXPECT_THROW((void)parse_run_state(5), Failure);
    EXPECT_THROW((void)parse_run_state({{"status", 5}, {"running", false}}), Failure);
}

TEST(Machine, LiveQ35IsRefusedByName) {
    const auto type = [](std::string path) -> asio::awaitable<std::string> {
        const auto session = co_await Session::connect(std::move(path), patient());
        co_return co_await require_pc_machine(*session);
    };
    FakeMachine pc;
    EXPECT_EQ(run([&] { return type(pc.path()); }), "pc-i440fx-7.2");
    FakeMachine::Options options;
    options.machine = "pc-q35-7.2-machine";
    FakeMachine q35(options);
    const auto failure = failure_of([&] { return type(q35.path()); });
    EXPECT_EQ(failure.code(), Errc::live_machine_refused);
    EXPECT_STREQ(failure.what(),
                 "the running QEMU's machine is 'pc-q35-7.2', not pc; start the sandbox "
                 "with machine_type = \"pc\"");
    EXPECT_EQ(q35.count("device_add"), 0u);
}

TEST(Plug, SaysWhereItLanded) {
    FakeMachine machine;
    machine.fill_bus(3);
    const auto plugged = run([&] { return plug_at(machine.path(), gpu(), patient()); });
    EXPECT_EQ(plugged.id, "gpu0");
    EXPECT_EQ(plugged.guest_address, "0000:00:05.0");
    EXPECT_EQ(plugged.slot, 5u);
    EXPECT_EQ(machine.count("query-pci"), 1u) << "the address costs no second one";
    EXPECT_EQ(machine.devices(), (Ids{"fill2", "fill3", "fill4", "gpu0"}));
    auto other = gpu("gpu1");
    other.addr = "1f.0";
    EXPECT_EQ(run([&] { return plug_at(machine.path(), other, patient()); }).guest_address,
              "0000:00:1f.0");
}

TEST(Plug, FullBusIsRefusedBeforeAnythingIsSent) {
    FakeMachine machine;
    machine.fill_bus(30);
    const auto failure = plug_failure(machine.path(), gpu());
    expect(failure, Errc::root_bus_full, DeviceState::absent,
           "plug gpu0: the root bus pci.0 has no free slot: all of 02 to 1f are taken (blocked by "
           "02.0 fill2 (1af4:1005), ");
    EXPECT_EQ(machine.count("device_add"), 0u);
}

TEST(Plug, TakenSlotIsRefusedWithItsOwner) {
    FakeMachine machine;
    machine.fill_bus(1);
    auto device = gpu();
    device.addr = "02.0";
    expect(plug_failure(machine.path(), device), Errc::invalid_argument, DeviceState::absent,
           "addr 02.0 of the root bus is taken (blocked by 02.0 fill2 (1af4:1005))");
    EXPECT_EQ(machine.count("device_add"), 0u);
}

TEST(Plug, MalformedIsRefusedWithoutAQuestion) {
    FakeMachine machine;
    expect(plug_failure(machine.path(), gpu("1bad")), Errc::invalid_argument, DeviceState::absent,
           "device id '1bad'");
    EXPECT_EQ(machine.count("query-pci"), 0u);
}

TEST(Plug, QemusRefusalIsKept) {
    FakeMachine machine;
    machine.refuse_device_add("vfio 0000:00:02.0: group 4 is not viable");
    expect(plug_failure(machine.path(), gpu()), Errc::group_not_viable, DeviceState::absent,
           "plug gpu0: QEMU refused device_add (GenericError): vfio 0000:00:02.0: group 4 is not "
           "viable; bind every device of the group");
    EXPECT_EQ(machine.count("device_del"), 0u);
}

TEST(Plug, QemuDyingOfIt) {
    FakeMachine machine;
    machine.die_during_device_add();
    expect(plug_failure(machine.path(), gpu()), Errc::qemu_gone, DeviceState::unknown,
           "plug gpu0: device_add: QEMU closed the connection on " + machine.path());
    const auto again = failure_of([&]() -> asio::awaitable<void> {
        (void)co_await Session::connect(machine.path(), patient());
    });
    EXPECT_EQ(again.code(), Errc::monitor_refused);
}

TEST(Plug, UnansweredDeviceAddIsTakenBackWhenQemuWakesUp) {
    FakeQmp peer;
    peer.greeting()
        .capabilities()
        .expect("query-pci")
        .raw("{\"return\": [{\"bus\": 0, \"devices\": []}], \"id\": 1}\r\n")
        .expect("device_add", {{"id", "gpu0"}})
        .expect("query-status")
        .reply_to("device_add")
        .reply({{"status", "running"}, {"running", true}})
        .expect("device_del", {{"id", "gpu0"}})
        .event("DEVICE_DELETED", {{"path", "/machine/peripheral/gpu0/child"}})
        .event("DEVICE_DELETED", {{"device", "gpu0"}, {"path", "/machine/peripheral/gpu0"}})
        .reply()
        .expect("qom-list")
        .raw("{\"return\": [{\"name\": \"type\", \"type\": \"string\"}], \"id\": 5}\r\n")
        .expect_hangup()
        .start();
    auto timeouts = patient();
    timeouts.device_add = 30ms;
    expect(plug_failure(peer.path(), gpu(), timeouts), Errc::qmp_timeout, DeviceState::absent,
           "QEMU did not answer device_add within 30 ms");
    EXPECT_EQ(peer.finish(), Ids{});
}

TEST(Plug, UnansweredForGoodIsUnknown) {
    FakeMachine machine;
    machine.block_on("device_add");
    auto timeouts = patient();
    timeouts.device_add = timeouts.query = 300ms; // the query-pci before it must make it
    expect(plug_failure(machine.path(), gpu(), timeouts), Errc::qmp_timeout, DeviceState::unknown,
           "whether QEMU has it could not be found out");
    EXPECT_EQ(machine.count("device_del"), 0u);
}

TEST(Plug, ASlotTakenMeanwhileIsChosenAnew) {
    FakeMachine machine;
    machine.fill_bus(2);
    Ids places;
    const auto plugged = run([&]() -> asio::awaitable<Plugged> {
        const auto session = co_await Session::connect(machine.path(), patient());
        const RootBus out_of_date;
        auto device = gpu();
        std::function<void(const Plugged&)> sent = [&](const Plugged& place) {
            places.push_back(place.guest_address);
        };
        co_return co_await plug(*session, std::move(device), out_of_date, std::move(sent));
    });
    EXPECT_EQ(plugged.guest_address, "0000:00:04.0");
    EXPECT_EQ(places, (Ids{"0000:00:02.0", "0000:00:04.0"}));
    EXPECT_EQ(machine.devices(), (Ids{"fill2", "fill3", "gpu0"}));
    EXPECT_EQ(machine.count("query-pci"), 1u);
}

TEST(Plug, ABusFilledSinceItWasLookedAtIsRefusedWithItsOwners) {
    FakeMachine machine;
    machine.fill_bus(30);
    const auto failure = failure_of<HotplugFailure>([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(machine.path(), patient());
        const RootBus out_of_date;
        auto device = gpu();
        (void)co_await plug(*session, std::move(device), out_of_date);
    });
    expect(failure, Errc::root_bus_full, DeviceState::absent,
           "the root bus pci.0 has no free slot: all of 02 to 1f are taken (blocked by 02.0 fill2");
    EXPECT_EQ(machine.count("device_add"), 1u);
}

namespace {

/// Runs plug or unplug under a cancellation that `when` triggers from another thread.
Failure cancelled_by(std::function<asio::awaitable<void>()> body,
                     std::function<void(std::function<void()>)> when) {
    asio::io_context loop(1);
    asio::cancellation_signal cancel;
    std::exception_ptr error;
    asio::co_spawn(
        loop, body(),
        asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr e) { error = e; }));
    std::thread other([&] {
        when([&] { asio::post(loop, [&] { cancel.emit(asio::cancellation_type::terminal); }); });
    });
    loop.run();
    other.join();
    try {
        if (error)
            std::rethrow_exception(error);
    } catch (const HotplugFailure& failure) {
        EXPECT_EQ(name(failure.code()), "cancelled");
        return failure;
    }
    throw std::logic_error("nothing was thrown");
}

} // namespace

TEST(Plug, CancelledInTheMiddleLeavesNothingInTheGuest) {
    FakeMachine machine;
    machine.block_on("device_add");
    const auto failure = cancelled_by(
        [&]() -> asio::awaitable<void> {
            (void)co_await plug_at(machine.path(), gpu(), patient());
        },
        [&](const std::function<void()>& cancel) {
            machine.wait_blocked();
            cancel();
            machine.unblock();
        });
    EXPECT_STREQ(failure.what(), "plug gpu0: plugging gpu0 was cancelled; it is not in the guest");
    EXPECT_EQ(machine.devices(), Ids{});
    EXPECT_EQ(machine.count("device_del"), 1u);
}

TEST(Plug, CancelledBeforeItIsSentSendsNothing) {
    FakeMachine machine;
    machine.block_on("query-pci");
    const auto failure = cancelled_by(
        [&]() -> asio::awaitable<void> {
            (void)co_await plug_at(machine.path(), gpu(), patient());
        },
        [&](const std::function<void()>& cancel) {
            machine.wait_blocked();
            cancel();
        });
    EXPECT_STREQ(failure.what(), "plug gpu0: query-pci was cancelled");
    machine.unblock();
    EXPECT_EQ(machine.count("device_add"), 0u);
}

class Unplugging : public testing::Test {
  protected:
    void SetUp() override {
        (void)run([&] { return plug_at(machine_.path(), gpu(), patient()); });
        ASSERT_EQ(machine_.devices(), Ids{"gpu0"});
    }
    FakeMachine machine_;
};

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

TEST(HotplugFailure, StatePrints) {
    std::ostringstream out;
    out << DeviceState::absent << ' ' << DeviceState::present << ' ' << DeviceState::unknown;
    EXPECT_EQ(out.str(), "absent present unknown");
}
