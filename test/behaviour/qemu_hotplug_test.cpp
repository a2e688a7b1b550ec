// SPDX-License-Identifier: Apache-2.0
#include <filesystem>

#include "prelude.hpp"

namespace {

class QemuHotplug : public OnQemu {};

} // namespace

TEST_F(QemuHotplug, ModelsAndBusesItDoesNotHave) {
    QemuProcess qemu;
    VfioDevice unknown("c");
    unknown.driver = "no-such-model";
    const auto model = plug_failure(qemu.monitor(), unknown);
    EXPECT_EQ(model.verbatim(), "'no-such-model' is not a valid device model name");
    EXPECT_NE(model.advice().find("built without"), std::string::npos);

    VfioDevice fixed("d", "/sys/x");
    fixed.driver = "vfio-pci-nohotplug";
    EXPECT_EQ(plug_failure(qemu.monitor(), fixed).advice(), "use the hot-pluggable model");

    auto elsewhere = rng("e");
    elsewhere.bus = "pci.9";
    EXPECT_EQ(plug_failure(qemu.monitor(), elsewhere).verbatim(), "Bus 'pci.9' not found");
    EXPECT_EQ(ids_on_bus(qemu.monitor()), std::vector<std::string>{});
}

TEST_F(QemuHotplug, VfioOfADeviceTheHostDoesNotHave) {
    QemuProcess qemu;
    const VfioDevice device("gpu0", "/sys/bus/pci/devices/0000:99:00.0");
    const auto failure = plug_failure(qemu.monitor(), device);
    EXPECT_EQ(failure.code(), Errc::device_not_found);
    EXPECT_EQ(failure.verbatim(), "vfio /sys/bus/pci/devices/0000:99:00.0: no such host device: No "
                                  "such file or directory");
    EXPECT_EQ(ids_on_bus(qemu.monitor()), std::vector<std::string>{});
}

TEST_F(QemuHotplug, VfioWithoutAnIommu) {
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
    const auto failure = plug_failure(qemu.monitor(), device);
    EXPECT_EQ(failure.code(), Errc::no_iommu) << failure.what();
    EXPECT_NE(failure.advice().find("intel_iommu=on"), std::string::npos);
}

TEST_F(QemuHotplug, FrozenDuringDeviceAddIsTakenBackOnceItRuns) {
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
