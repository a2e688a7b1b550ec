// SPDX-License-Identifier: Apache-2.0
// What the kernel lets QEMU's process do is looked at before QEMU is asked.
#include "config/base/unique_fd.hpp"
#include "test/abi/crash_place.hpp"

#include <fcntl.h>

#include <fstream>
#include <sstream>

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

// Where there were neither rules nor programs they are not looked for at each attach, but when QEMU
// says that it is denied a node.
TEST_F(LimitsOfQemu, DeviceRulesThatWereMadeBetweenTwoAttaches) {
    const auto errors = place.config.string() + ".errors";
    const UniqueFd file(::open(errors.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    const auto attach = "attach=" + std::string(gpu);
    place.machine.block_on("device_del");
    const auto meanwhile = [&] {
        place.machine.wait_blocked();
        place.root.write(process + "cgroup", "2:devices:/kata\n");
        place.root.write("/sys/fs/cgroup/devices/kata/devices.list", "c 10:196 rwm\n");
        place.machine.refuse_device_add("vfio 0000:00:02.0: Could not open '/dev/vfio/1': "
                                        "Operation not permitted");
        place.machine.unblock();
    };
    EXPECT_EQ(place.run({"open", attach, "detach=" + std::string(gpu), attach}, {}, meanwhile,
                        file.get()),
              4);
    EXPECT_EQ(place.machine.count("device_add"), before + 2);
    std::ostringstream said;
    said << std::ifstream(errors).rdbuf();
    EXPECT_THAT(said.str(), ::testing::HasSubstr("QEMU's cgroup does not let it open /dev/vfio/1"));
    std::filesystem::remove(errors);
    place.machine.refuse_device_add("");
    EXPECT_EQ(place.run({"open", attach}), 4);
    EXPECT_EQ(place.machine.count("device_add"), before + 2) << "a new one looks first";
    EXPECT_EQ(place.below("/run/kata-vfio/claims"), "");
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
