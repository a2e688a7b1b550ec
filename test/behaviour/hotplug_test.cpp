// SPDX-License-Identifier: Apache-2.0
#include "prelude.hpp"

namespace {

class Hotplug : public OnEachPeer {};
KATA_VFIO_ON_EACH_PEER(Hotplug);

} // namespace

TEST_P(Hotplug, AddressReportedIsWhereQemuHasIt) {
    const auto qemu = machine();
    run([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(qemu->monitor(), patient());
        auto free_choice = rng("a");
        const auto a = co_await plug(*session, std::move(free_choice));
        EXPECT_EQ(a.guest_address, "0000:00:02.0");
        EXPECT_EQ(a.slot, 2u);
        auto chosen = rng("b");
        chosen.addr = "1d.0";
        chosen.multifunction = false; // a real boolean, which QEMU 9.2 and later insist on
        chosen.rombar = 0;
        const auto b = co_await plug(*session, std::move(chosen));
        EXPECT_EQ(b.guest_address, "0000:00:1d.0");
        // QEMU's other way to say it: devfn in QOM.
        auto ask = qom_get("/machine/peripheral/b", "addr");
        const auto devfn = co_await session->execute(std::move(ask));
        EXPECT_EQ(devfn, 0x1d * 8);
        const bool present = co_await device_present(*session, "b");
        EXPECT_TRUE(present);
    });
}

TEST_P(Hotplug, ThirtyFirstDeviceIsRefusedWithTheListOfAll) {
    const auto qemu = machine();
    run([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(qemu->monitor(), patient());
        for (int i = 0; i < 30; ++i) {
            auto device = rng("d" + std::to_string(i));
            (void)co_await plug(*session, std::move(device));
        }
        std::optional<Failure> refused;
        try {
            auto device = rng("d30");
            (void)co_await plug(*session, std::move(device));
        } catch (const HotplugFailure& failure) {
            EXPECT_EQ(failure.left(), DeviceState::absent);
            refused = failure;
        }
        EXPECT_TRUE(refused && refused->code() == Errc::root_bus_full);
        if (refused) {
            EXPECT_TRUE(refused->blocker().starts_with("02.0 d0 (1af4:")) << refused->what();
            EXPECT_NE(refused->blocker().find(" and 1f.0 d29 (1af4:"), std::string::npos);
        }
        // QEMU's own words for it mean the same to us.
        auto raw = device_add(encode_device_add(rng("d30")));
        try {
            co_await session->execute(std::move(raw));
            ADD_FAILURE();
        } catch (const QmpFailure& failure) {
            EXPECT_EQ(failure.code(), Errc::root_bus_full) << failure.what();
        }
    });
}

TEST_P(Hotplug, TakenSlotIsRefusedWithItsOwner) {
    const auto qemu = machine();
    (void)run([&] { return plug_into(qemu->monitor(), rng("a")); });
    auto taken = rng("b");
    taken.addr = "02.0";
    const auto slot = plug_failure(qemu->monitor(), taken);
    EXPECT_EQ(slot.code(), Errc::invalid_argument);
    EXPECT_EQ(slot.left(), DeviceState::absent);
    EXPECT_TRUE(slot.blocker().starts_with("02.0 a (1af4:")) << slot.what();
    // QEMU's own refusal, when nobody asks us first.
    const auto raw = refusal_of(qemu->monitor(), device_add(encode_device_add(taken)));
    EXPECT_TRUE(raw.verbatim().starts_with("PCI: slot 2 function 0 not available for "))
        << raw.verbatim();
}

// What the plugin's plan_slots() goes by.
TEST_P(Hotplug, FunctionsOfOneSlotComeWithFunctionZeroLast) {
    const auto qemu = machine();
    const auto function = [](const std::string& id, const std::string& addr) {
        auto device = rng(id);
        device.addr = addr;
        device.multifunction = true;
        return device;
    };
    for (const auto* addr : {"09.2", "09.1", "09.0"}) {
        const auto plugged = run([&] {
            return plug_into(qemu->monitor(), function("f" + std::string(1, addr[3]), addr));
        });
        EXPECT_EQ(plugged.guest_address, "0000:00:" + std::string(addr));
    }
    // Behind function 0 comes no other: our own check says who has the slot.
    const auto late = plug_failure(qemu->monitor(), function("f3", "09.3"));
    EXPECT_EQ(late.code(), Errc::invalid_argument) << late.what();
    EXPECT_NE(late.blocker().find("f0"), std::string::npos) << late.what();
    // And a function 0 that is no part of a set does not join others.
    (void)run([&] { return plug_into(qemu->monitor(), function("g1", "0a.1")); });
    auto single = function("g0", "0a.0");
    single.multifunction.reset();
    EXPECT_EQ(plug_failure(qemu->monitor(), single).left(), DeviceState::absent);
}

TEST_P(Hotplug, DuplicateIdIsRefusedAndTheFirstStays) {
    const auto qemu = machine();
    (void)run([&] { return plug_into(qemu->monitor(), rng("a")); });
    const auto duplicate = plug_failure(qemu->monitor(), rng("a"));
    EXPECT_EQ(duplicate.code(), Errc::already_attached) << duplicate.what();
    EXPECT_EQ(duplicate.verbatim(), "Duplicate device ID 'a'");
    EXPECT_EQ(duplicate.left(), DeviceState::absent);
    EXPECT_EQ(ids_on_bus(qemu->monitor()), std::vector<std::string>{"a"});
}

TEST_P(Hotplug, BusThatIsNotThere) {
    const auto qemu = machine();
    auto elsewhere = rng("e");
    elsewhere.bus = "pci.9";
    EXPECT_EQ(plug_failure(qemu->monitor(), elsewhere).verbatim(), "Bus 'pci.9' not found");
    EXPECT_EQ(ids_on_bus(qemu->monitor()), std::vector<std::string>{});
}

TEST_P(Hotplug, RootBusOfQ35SaysQ35) {
    Machine::Options q35;
    q35.machine = "q35";
    const auto qemu = machine(q35);
    auto device = rng("a");
    device.bus = "pcie.0";
    EXPECT_EQ(plug_failure(qemu->monitor(), device).code(), Errc::live_machine_refused);
}

TEST_P(Hotplug, UnplugBeforeTheFirstStartIsRefused) {
    Machine::Options unstarted;
    unstarted.started = false;
    const auto qemu = machine(unstarted);
    (void)run([&] { return plug_into(qemu->monitor(), rng("a")); });
    const auto failure =
        failure_of<HotplugFailure>([&] { return unplug_from(qemu->monitor(), "a", patient()); });
    EXPECT_EQ(failure.code(), Errc::guest_not_ready);
    EXPECT_EQ(failure.left(), DeviceState::present);
    EXPECT_NE(failure.problem().find("never been started (prelaunch)"), std::string::npos);
    EXPECT_EQ(ids_on_bus(qemu->monitor()), std::vector<std::string>{"a"});
}

TEST_P(Hotplug, UnplugWithNothingBootedTimesOutAndTheDeviceStays) {
    const auto qemu = machine();
    (void)run([&] { return plug_into(qemu->monitor(), rng("a")); });
    auto timeouts = patient();
    timeouts.unplug = 700ms;
    timeouts.unplug_resend = 200ms;
    const auto failure =
        failure_of<HotplugFailure>([&] { return unplug_from(qemu->monitor(), "a", timeouts); });
    EXPECT_EQ(failure.code(), Errc::unplug_timeout) << failure.what();
    EXPECT_EQ(failure.left(), DeviceState::present);
    EXPECT_NE(failure.problem().find("the guest did not let a go within 700 ms"), std::string::npos)
        << failure.what();
    EXPECT_NE(failure.blocker().find("has not booted yet"), std::string::npos);
    EXPECT_EQ(ids_on_bus(qemu->monitor()), std::vector<std::string>{"a"});
}

TEST_P(Hotplug, UnplugOfWhatIsNotThereIsDone) {
    const auto qemu = machine();
    run([&] { return unplug_from(qemu->monitor(), "nothing", patient()); });
}

TEST_P(Hotplug, QemuKilledInTheMiddle) {
    for (const std::string command : {"device_add", "device_del"}) {
        SCOPED_TRACE(command);
        const auto qemu = machine();
        (void)run([&] { return plug_into(qemu->monitor(), rng("a")); });
        const auto failure = failure_of<HotplugFailure>([&]() -> asio::awaitable<void> {
            const WireTap tap = [&](WireDirection direction, std::string_view bytes) {
                if (direction == WireDirection::sent && bytes.find(command) != bytes.npos)
                    qemu->kill();
            };
            const auto session = co_await Session::connect(qemu->monitor(), patient(), tap);
            if (command == "device_add") {
                auto device = rng("b");
                (void)co_await plug(*session, std::move(device));
            } else {
                co_await unplug(*session, "a");
            }
        });
        EXPECT_EQ(failure.code(), Errc::qemu_gone) << failure.what();
        EXPECT_EQ(failure.left(), DeviceState::unknown);
    }
}

TEST_P(Hotplug, PlugWhilePausedIsThereWhenItContinues) {
    const auto qemu = machine();
    run([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(qemu->monitor(), patient());
        auto stop = Command("stop");
        co_await session->execute(std::move(stop));
        auto device = rng("a");
        const auto plugged = co_await plug(*session, std::move(device));
        EXPECT_EQ(plugged.guest_address, "0000:00:02.0");
        auto proceed = Command("cont");
        co_await session->execute(std::move(proceed));
        const bool present = co_await device_present(*session, "a");
        EXPECT_TRUE(present);
    });
}
