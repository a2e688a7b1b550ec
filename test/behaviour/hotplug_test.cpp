// SPDX-License-Identifier: Apache-2.0
#include "qemu/hotplug.hpp"

#include "qemu/machine.hpp"
#include "qemu/qmp/error.hpp"
#include "qemu_process.hpp"
#include "test/fixtures/fake_qmp/run.hpp"

#include <gtest/gtest.h>

#include <filesystem>

using namespace kata_vfio;
using namespace kata_vfio::qemu;
using namespace std::chrono_literals;
using behaviour::QemuProcess;
using fake::failure_of;
using fake::run;
namespace asio = boost::asio;
namespace json = boost::json;

namespace {

Timeouts patient() {
    Timeouts timeouts;
    timeouts.greeting = timeouts.query = timeouts.device_add = timeouts.device_del = 60s;
    timeouts.unplug = 60s;
    return timeouts;
}

/// A PCI device any host can plug; the way is the same as for vfio-pci.
VfioDevice rng(const std::string& id) {
    VfioDevice device(id);
    device.driver = "virtio-rng-pci";
    return device;
}

asio::awaitable<Plugged> plug_into(std::string path, VfioDevice device) {
    const auto session = co_await Session::connect(std::move(path), patient());
    co_return co_await plug(*session, std::move(device));
}

asio::awaitable<void> unplug_from(std::string path, std::string id, Timeouts timeouts) {
    const auto session = co_await Session::connect(std::move(path), timeouts);
    co_await unplug(*session, std::move(id));
}

HotplugFailure plug_failure(const QemuProcess& qemu, const VfioDevice& device) {
    return failure_of<HotplugFailure>([&] { return plug_into(qemu.monitor(), device); });
}

std::vector<std::string> ids_on_bus(const QemuProcess& qemu) {
    return run([&]() -> asio::awaitable<std::vector<std::string>> {
        const auto session = co_await Session::connect(qemu.monitor(), patient());
        auto command = query_pci();
        const auto value = co_await session->execute(std::move(command));
        std::vector<std::string> ids;
        const auto bus = RootBus::parse(value);
        for (const auto& device : bus.devices())
            if (!device.qdev_id.empty())
                ids.push_back(device.qdev_id);
        co_return ids;
    });
}

} // namespace

TEST(RealHotplug, AddressReportedIsWhereQemuHasIt) {
    QemuProcess qemu;
    run([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(qemu.monitor(), patient());
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

TEST(RealHotplug, ThirtyFirstDeviceIsRefusedWithTheListOfAll) {
    QemuProcess qemu;
    run([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(qemu.monitor(), patient());
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

TEST(RealHotplug, TakenSlotDuplicateIdAndUnknownModel) {
    QemuProcess qemu;
    (void)run([&] { return plug_into(qemu.monitor(), rng("a")); });
    auto taken = rng("b");
    taken.addr = "02.0";
    const auto slot = plug_failure(qemu, taken);
    EXPECT_EQ(slot.code(), Errc::invalid_argument);
    EXPECT_TRUE(slot.blocker().starts_with("02.0 a (1af4:")) << slot.what();

    const auto duplicate = plug_failure(qemu, rng("a"));
    EXPECT_EQ(duplicate.code(), Errc::already_attached) << duplicate.what();
    EXPECT_EQ(duplicate.left(), DeviceState::absent);

    VfioDevice unknown("c");
    unknown.driver = "no-such-model";
    const auto model = plug_failure(qemu, unknown);
    EXPECT_EQ(model.verbatim(), "'no-such-model' is not a valid device model name");
    EXPECT_NE(model.advice().find("built without"), std::string::npos);

    VfioDevice fixed("d", "/sys/x");
    fixed.driver = "vfio-pci-nohotplug";
    EXPECT_EQ(plug_failure(qemu, fixed).advice(), "use the hot-pluggable model");

    auto elsewhere = rng("e");
    elsewhere.bus = "pci.9";
    EXPECT_EQ(plug_failure(qemu, elsewhere).verbatim(), "Bus 'pci.9' not found");
    EXPECT_EQ(ids_on_bus(qemu), std::vector<std::string>{"a"});
}

TEST(RealHotplug, RootBusOfQ35SaysQ35) {
    QemuProcess qemu("q35");
    auto device = rng("a");
    device.bus = "pcie.0";
    EXPECT_EQ(plug_failure(qemu, device).code(), Errc::live_machine_refused);
}

TEST(RealHotplug, VfioOfADeviceTheHostDoesNotHave) {
    QemuProcess qemu;
    const VfioDevice device("gpu0", "/sys/bus/pci/devices/0000:99:00.0");
    const auto failure = plug_failure(qemu, device);
    EXPECT_EQ(failure.code(), Errc::device_not_found);
    EXPECT_EQ(failure.verbatim(), "vfio /sys/bus/pci/devices/0000:99:00.0: no such host device: No "
                                  "such file or directory");
    EXPECT_EQ(ids_on_bus(qemu), std::vector<std::string>{});
}

TEST(RealHotplug, VfioWithoutAnIommu) {
    namespace fs = std::filesystem;
    std::string found;
    if (fs::exists("/sys/bus/pci/devices"))
        for (const auto& entry : fs::directory_iterator("/sys/bus/pci/devices"))
            if (!fs::exists(entry.path() / "iommu_group"))
                found = entry.path();
    if (found.empty())
        GTEST_SKIP() << "this host has no PCI device outside of an IOMMU group";
    QemuProcess qemu;
    const VfioDevice device("gpu0", found);
    const auto failure = plug_failure(qemu, device);
    EXPECT_EQ(failure.code(), Errc::no_iommu) << failure.what();
    EXPECT_NE(failure.advice().find("intel_iommu=on"), std::string::npos);
}

TEST(RealHotplug, UnplugBeforeTheFirstStartIsRefused) {
    QemuProcess qemu("pc", {"-S"});
    (void)run([&] { return plug_into(qemu.monitor(), rng("a")); });
    const auto failure =
        failure_of<HotplugFailure>([&] { return unplug_from(qemu.monitor(), "a", patient()); });
    EXPECT_EQ(failure.code(), Errc::guest_not_ready);
    EXPECT_EQ(failure.left(), DeviceState::present);
    EXPECT_NE(failure.problem().find("never been started (prelaunch)"), std::string::npos);
    EXPECT_EQ(ids_on_bus(qemu), std::vector<std::string>{"a"});
}

TEST(RealHotplug, UnplugWithNothingBootedTimesOutAndTheDeviceStays) {
    QemuProcess qemu;
    (void)run([&] { return plug_into(qemu.monitor(), rng("a")); });
    auto timeouts = patient();
    timeouts.unplug = 700ms;
    timeouts.unplug_resend = 200ms;
    const auto failure =
        failure_of<HotplugFailure>([&] { return unplug_from(qemu.monitor(), "a", timeouts); });
    EXPECT_EQ(failure.code(), Errc::unplug_timeout) << failure.what();
    EXPECT_EQ(failure.left(), DeviceState::present);
    EXPECT_NE(failure.problem().find("the guest did not let a go within 700 ms"), std::string::npos)
        << failure.what();
    EXPECT_NE(failure.blocker().find("has not booted yet"), std::string::npos);
    EXPECT_EQ(ids_on_bus(qemu), std::vector<std::string>{"a"});
}

TEST(RealHotplug, UnplugOfWhatIsNotThereIsDone) {
    QemuProcess qemu;
    run([&] { return unplug_from(qemu.monitor(), "nothing", patient()); });
}

TEST(RealHotplug, QemuKilledInTheMiddle) {
    for (const std::string command : {"device_add", "device_del"}) {
        SCOPED_TRACE(command);
        QemuProcess qemu;
        (void)run([&] { return plug_into(qemu.monitor(), rng("a")); });
        const auto failure = failure_of<HotplugFailure>([&]() -> asio::awaitable<void> {
            const WireTap tap = [&](WireDirection direction, std::string_view bytes) {
                if (direction == WireDirection::sent && bytes.find(command) != bytes.npos)
                    qemu.kill();
            };
            const auto session = co_await Session::connect(qemu.monitor(), patient(), tap);
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

TEST(RealHotplug, FrozenDuringDeviceAddIsTakenBackOnceItRuns) {
    QemuProcess qemu("pc", {"-S"});
    run([&]() -> asio::awaitable<void> {
        bool frozen = false;
        const WireTap tap = [&](WireDirection direction, std::string_view bytes) {
            if (direction != WireDirection::sent)
                return;
            if (bytes.find("device_add") != bytes.npos) {
                qemu.freeze();
                frozen = true;
            } else if (frozen) { // the question that follows the timeout
                qemu.thaw();
            }
        };
        auto timeouts = patient();
        timeouts.device_add = 100ms;
        const auto session = co_await Session::connect(qemu.monitor(), timeouts, tap);
        try {
            auto device = rng("a");
            (void)co_await plug(*session, std::move(device));
            ADD_FAILURE();
        } catch (const HotplugFailure& failure) {
            EXPECT_EQ(failure.code(), Errc::qmp_timeout);
            // Never started, so it can't be taken out; that is what is reported.
            EXPECT_EQ(failure.left(), DeviceState::present) << failure.what();
        }
        const bool present = co_await device_present(*session, "a");
        EXPECT_TRUE(present);
    });
}
