// SPDX-License-Identifier: Apache-2.0
// What the kernel lets QEMU's process do is looked at before QEMU is asked.
#include "test/abi/crash_place.hpp"

namespace kata_vfio::abi_test {
namespace {

/// QEMU is another process here than the plugin's: of its own it takes no limits.
class LimitsOfQemu : public ::testing::Test {
  protected:
    void refused_then_granted(const std::function<void()>& grant) {
        ASSERT_EQ(place.run({"open"}), 0);
        EXPECT_EQ(place.run({"open", "attach=" + std::string(gpu)}), 4);
        EXPECT_EQ(place.machine.count("device_add"), before);
        EXPECT_EQ(difference(place.before, place.host_side()), "");
        EXPECT_EQ(place.below("/run/kata-vfio/claims"), "");
        EXPECT_FALSE(place.root.exists("/run/kata-vfio/sandboxes/sb1/journal"));
        grant();
        EXPECT_EQ(place.run({"open", "attach=" + std::string(gpu)}), 0);
        EXPECT_EQ(place.plugged().size(), 1u);
    }

    Place place;
    const std::string process = "/proc/" + std::to_string(::getpid()) + "/";
    const std::size_t before = place.machine.count("device_add");
};

TEST_F(LimitsOfQemu, ItsCgroupsDeviceRules) {
    const auto list = "/sys/fs/cgroup/devices/kata/devices.list";
    place.root.write(process + "cgroup", "2:devices:/kata\n");
    place.root.write(list, "c 10:196 rwm\n");
    place.before = place.host_side();
    refused_then_granted([&] { place.root.write(list, "a *:* rwm\n"); });
}

TEST_F(LimitsOfQemu, ItsLockedMemory) {
    place.machine.answer_with("query-memory-size-summary",
                              {{"base-memory", 2147483648}, {"plugged-memory", 0}});
    place.root.write(process + "limits",
                     "Max locked memory         65536                65536                bytes\n");
    refused_then_granted([&] {
        place.root.write(process + "limits", "Max locked memory         unlimited  unlimited\n");
    });
}

} // namespace
} // namespace kata_vfio::abi_test
