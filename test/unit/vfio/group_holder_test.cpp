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
