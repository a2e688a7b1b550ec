// SPDX-License-Identifier: Apache-2.0
#include "mdev/mdev_device.hpp"

#include "test/fixtures/fake_root/fake_root.hpp"
#include "test/unit/vfio/expect_failure.hpp"

#include <filesystem>
#include <sstream>

using namespace kata_vfio;
using namespace kata_vfio::mdev;
using testing::HasSubstr;
namespace fs = std::filesystem;

namespace {
const auto one = Uuid::require("11111111-5807-11e8-a43e-03533cceae7d");
const auto two = Uuid::require("22222222-5807-11e8-a43e-03533cceae7d");
} // namespace

TEST(MdevDevice, PresentOne) {
    fake::FakeRoot root;
    root.populate_gvt_host();
    root.populate_mdev("0000:00:02.0", "i915-GVTg_V4_8", one.text(), 9);
    const auto device = require_device(root.host(), one);
    EXPECT_EQ(device.parent, "0000:00:02.0");
    EXPECT_EQ(device.type, "i915-GVTg_V4_8");
    EXPECT_EQ(device.iommu_group, 9);
    EXPECT_EQ(device.sysfs, "/sys/bus/mdev/devices/" + one.text());
    EXPECT_EQ(device.node, "/dev/vfio/9");
    EXPECT_EQ(device.state, MdevDevice::State::present);
    EXPECT_TRUE(fs::exists(parent_side(root.host(), device)));
    EXPECT_EQ(find_device(root.host(), two), std::nullopt);
}

TEST(MdevDevice, PendingRemovalIsSeenAtTheParentOnly) {
    fake::FakeRoot root;
    root.populate_gvt_host();
    root.populate_mtty();
    root.populate_mdev("mtty", "mtty-1", two.text(), 8);
    root.populate_mdev("0000:00:02.0", "i915-GVTg_V4_8", one.text(), 9);
    fs::remove(root.at("/sys/bus/mdev/devices/" + one.text()));
    fs::remove(root.at("/sys/class/mdev_bus/0000:00:02.0/" + one.text() + "/mdev_type"));
    fs::create_directory(root.at("/sys/class/mdev_bus/mtty/power"));
    fs::create_directory(root.at("/sys/class/mdev_bus/mtty/00000000-0000-0000-0000-000000000000"));
    const auto list = list_devices(root.host());
    ASSERT_EQ(list.size(), 2u);
    EXPECT_EQ(list[0].uuid, one);
    EXPECT_EQ(list[0].state, MdevDevice::State::pending_removal);
    EXPECT_EQ(list[0].type, "");
    EXPECT_EQ(list[0].iommu_group, 9);
    EXPECT_EQ(list[1].uuid, two);
    EXPECT_EQ(list[1].state, MdevDevice::State::present);
}

TEST(MdevDevice, ByItsOwnNodeOnAKernelWithoutGroupNodes) {
    fake::FakeRoot root;
    root.populate_mtty();
    root.populate_mdev("mtty", "mtty-1", one.text(), 8, false);
    EXPECT_EQ(require_device(root.host(), one).node, std::nullopt);
    root.populate_cdev("vfio2", one.text());
    EXPECT_EQ(require_device(root.host(), one).node, "/dev/vfio/devices/vfio2");
}

TEST(MdevDevice, AbsentSaysWhatToDo) {
    fake::FakeRoot root;
    EXPECT_THAT(
        test::failure_text(Errc::device_not_found, [&] { require_device(root.host(), one); }),
        HasSubstr("no mediated device " + one.text() + " on this host; kata-vfio vgpus"));
    root.populate_mtty();
    root.populate_mdev("mtty", "mtty-1", two.text(), 8);
    EXPECT_THAT(
        test::failure_text(Errc::device_not_found, [&] { require_device(root.host(), one); }),
        HasSubstr("did you mean " + two.text() + "?"));
}

TEST(MdevState, Prints) {
    std::ostringstream out;
    out << MdevDevice::State::present << " " << MdevDevice::State::pending_removal;
    EXPECT_EQ(out.str(), "present pending_removal");
}

// Unbinding a parent takes it out of its class first, then waits for each vGPU that is in use.
TEST(MdevDevice, OfAParentThatIsBeingUnbound) {
    fake::FakeRoot root;
    root.populate_gvt_host();
    root.populate_mdev("0000:00:02.0", "i915-GVTg_V4_8", one.text(), 9);
    fs::remove(root.at("/sys/class/mdev_bus/0000:00:02.0"));
    fs::remove(root.at("/sys/bus/mdev/devices/" + one.text()));
    EXPECT_EQ(find_device(root.host(), one), std::nullopt);
    EXPECT_EQ(find_device(root.host(), one, "mtty"), std::nullopt);
    EXPECT_EQ(find_device(root.host(), two, "0000:00:02.0"), std::nullopt);
    const auto device = find_device(root.host(), one, "0000:00:02.0");
    ASSERT_TRUE(device.has_value());
    EXPECT_EQ(device->state, MdevDevice::State::pending_removal);
    EXPECT_EQ(device->iommu_group, 9);
    EXPECT_TRUE(fs::exists(parent_side(root.host(), *device)));
}
