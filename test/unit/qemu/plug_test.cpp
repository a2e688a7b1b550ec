// SPDX-License-Identifier: Apache-2.0
#include "hotplug_support.hpp"
#include "qemu/machine.hpp"

#include <sstream>

using namespace kata_vfio;
using namespace kata_vfio::qemu;
using namespace std::chrono_literals;
using fake::failure_of;
using fake::FakeMachine;
using fake::FakeQmp;
using fake::run;
namespace asio = boost::asio;

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

TEST(HotplugFailure, StatePrints) {
    std::ostringstream out;
    out << DeviceState::absent << ' ' << DeviceState::present << ' ' << DeviceState::unknown;
    EXPECT_EQ(out.str(), "absent present unknown");
}
