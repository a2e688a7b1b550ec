// SPDX-License-Identifier: Apache-2.0
#include "vfio/group_holder.hpp"

#include "expect_failure.hpp"
#include "test/fixtures/fake_root/fake_root.hpp"

#include <filesystem>

using namespace kata_vfio;
using namespace kata_vfio::vfio;

namespace {

class GroupHolder : public testing::Test {
  protected:
    void SetUp() override {
        fake::FunctionSpec spec;
        spec.driver = "vfio-pci";
        spec.group = 5;
        root.populate_function(spec);
    }
    fake::FakeRoot root;
};

} // namespace

TEST_F(GroupHolder, FreeGroup) {
    root.populate_holder(100, "bash", "/dev/null");
    root.populate_holder(101, "liar", "/tmp/5"); // the last component alone is no proof
    EXPECT_FALSE(group_busy(root.host(), 5));
    EXPECT_FALSE(hold_group(root.host(), 5, "x")); // a plain file has nothing to hold
    EXPECT_TRUE(find_holders(root.host(), "/dev/vfio/5").empty());
}

TEST_F(GroupHolder, HoldersAreNamed) {
    root.populate_holder(4711, "qemu-system-x86", "/dev/vfio/5");
    root.populate_holder(90, "dd", "/dev/vfio/5");
    root.populate_holder(91, "other", "/dev/vfio/55");
    const std::vector<Holder> expected{{90, "dd"}, {4711, "qemu-system-x86"}};
    EXPECT_EQ(find_holders(root.host(), "/dev/vfio/5"), expected);
    EXPECT_TRUE(group_busy(root.host(), 5));
    EXPECT_EQ(
        test::failure_text(Errc::device_in_use, [&] { hold_group(root.host(), 5, "vGPU abc"); }),
        "vGPU abc is in use: IOMMU group 5 is open (/dev/vfio/5) (blocked by pid 90 (dd) and "
        "pid 4711 (qemu-system-x86)); detach it from that sandbox, or end that process");
    root.remove_holder(90);
    root.remove_holder(4711);
    EXPECT_FALSE(group_busy(root.host(), 5));
}

TEST_F(GroupHolder, ACdevUserHoldsTheGroupToo) {
    root.populate_cdev("vfio3", "0000:00:02.0");
    root.populate_holder(5, "qemu", "/dev/vfio/devices/vfio3");
    EXPECT_TRUE(group_busy(root.host(), 5));
    std::filesystem::remove(root.at("/dev/vfio/5")); // a kernel without group nodes
    EXPECT_TRUE(group_busy(root.host(), 5));
}

TEST_F(GroupHolder, UnreadableProcessesAreNotAnError) {
    root.write("/proc/7/comm", "x");
    root.write("/proc/8/fd", "a file where a directory belongs");
    root.populate_holder(9, "qemu", "/dev/vfio/5");
    std::filesystem::remove(root.at("/proc/9/comm"));
    const auto holders = find_holders(root.host(), "/dev/vfio/5");
    ASSERT_EQ(holders.size(), 1u);
    EXPECT_EQ(text(holders[0]), "pid 9");
}

// Linux before 6.18: the group is busy, and of the device's descriptor nothing is told.
TEST_F(GroupHolder, ADeviceAloneIsNamedAsTheOneThatMayBeIt) {
    root.populate_holder(77, "vhost-user", "anon_inode:[vfio-device]");
    root.populate_holder(78, "qemu", "/dev/vfio/6"); // has another group, and that one's device
    root.populate_group(6, {});
    root.link("/sys/kernel/iommu_groups/6/devices/0000:00:09.0", "x");
    root.link("/proc/78/fd/18", "anon_inode:[vfio-device]");
    const std::vector<Holder> expected{{77, "vhost-user"}};
    EXPECT_EQ(group_holders(root.host(), 5), expected);
    EXPECT_FALSE(group_busy(root.host(), 5)); // without the kernel's own answer that is no proof
    const auto open = find_open_vfio(root.host());
    EXPECT_EQ(open.untold, expected);
    EXPECT_EQ(open.nodes.at("/dev/vfio/6").front().pid, 78);
    root.link("/proc/78/fd/19", "anon_inode:[vfio-device]"); // one more than it accounts for
    EXPECT_EQ(group_holders(root.host(), 5).size(), 2u);
}

TEST_F(GroupHolder, ADeviceOfWhichTheKernelTellsIsCertain) {
    root.populate_holder(77, "vhost-user", "anon_inode:[vfio-device]");
    root.write("/proc/77/fdinfo/17", "pos:\t0\nflags:\t02000002\n"
                                     "vfio-device-syspath: /sys/devices/pci0000:00/0000:00:02.0\n");
    root.populate_holder(78, "other", "anon_inode:[vfio-device]");
    const std::vector<Holder> expected{{77, "vhost-user"}};
    EXPECT_EQ(group_holders(root.host(), 5), expected);
    EXPECT_TRUE(group_busy(root.host(), 5));
    EXPECT_EQ(find_open_vfio(root.host()).devices.at("0000:00:02.0"), expected);
    root.remove_holder(77);
    EXPECT_FALSE(group_busy(root.host(), 5));
}
