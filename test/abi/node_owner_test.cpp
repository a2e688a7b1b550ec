// SPDX-License-Identifier: Apache-2.0
// A QEMU that runs as a user of its own, and the VFIO node that it has to open.
#include "test/abi/crash_place.hpp"
#include "vfio/wait_path.hpp"

namespace kata_vfio::abi_test {
namespace {

constexpr unsigned user = 64055;
constexpr int gpu_group = 1;       // its node comes and goes with the binding
constexpr int function_group = 41; // of a function that is on vfio-pci as it is

class NodeOwner : public ::testing::Test {
  protected:
    void SetUp() override {
        if (::geteuid() != 0)
            GTEST_SKIP() << "only root gives files away";
    }
    void lends() { place.qemu_is_user(user, "chown_nodes = true"); }
    Place place;
    const std::size_t plugs = place.machine.count("device_add");
};

TEST_F(NodeOwner, IsRefusedBeforeQemuIsAsked) {
    place.qemu_is_user(user);
    ASSERT_EQ(place.run({"open"}), 0);
    EXPECT_EQ(place.run({"open", attach_gpu}), KATA_VFIO_E_PERMISSION_DENIED / 100);
    EXPECT_EQ(place.machine.count("device_add"), plugs);
    EXPECT_EQ(difference(place.before, place.host_side()), "");
    EXPECT_EQ(place.below("/run/kata-vfio/claims"), "");
}

TEST_F(NodeOwner, IsWaitedForWhereARuleMayOpenIt) {
    place.qemu_is_user(user);
    ASSERT_EQ(place.run({"open"}), 0);
    // As udev does it, a moment behind the kernel.
    const auto as_udev = [&] {
        const auto host = place.root.host();
        const auto node = place.root.at("/dev/vfio/43"); // the next free number
        ASSERT_TRUE(
            vfio::wait_exists(node, vfio::Deadline(std::chrono::seconds(20)), host.watches()));
        std::filesystem::permissions(node, std::filesystem::perms(0666));
    };
    EXPECT_EQ(place.run({"open", attach_vgpu}, {}, as_udev), 0);
    EXPECT_EQ(place.owner_of(43), 0u);
    EXPECT_EQ(place.plugged().size(), 1u);
}

TEST_F(NodeOwner, IsQemusUserWhileItIsAttached) {
    lends();
    ASSERT_EQ(place.run({"open", attach_gpu}), 0);
    EXPECT_EQ(place.owner_of(gpu_group), user);
    EXPECT_EQ(place.run({"open", "detach=" + std::string(gpu)}), 0);
    EXPECT_EQ(difference(place.before, place.host_side()), "");
}

TEST_F(NodeOwner, IsGivenBackByADetachAReleaseAndAReconcile) {
    lends();
    for (const Words& until : {Words{"open", detach_function}, {"release"}, {"reconcile"}}) {
        SCOPED_TRACE(until.back());
        ASSERT_EQ(place.run({"open", attach_function}), 0);
        EXPECT_EQ(place.owner_of(function_group), user);
        if (until.front() == "reconcile")
            place.kill_qemu();
        EXPECT_EQ(place.run(until), 0);
        EXPECT_EQ(place.owner_of(function_group), 0u);
        EXPECT_EQ(difference(place.before, place.host_side()), "");
    }
}

TEST_F(NodeOwner, IsNotTouchedWhereItIsOpenAnyway) {
    lends();
    std::filesystem::permissions(place.root.at("/dev/vfio/41"), std::filesystem::perms(0666));
    ASSERT_EQ(place.run({"open", attach_function}), 0);
    EXPECT_EQ(place.owner_of(function_group), 0u);
}

TEST_F(NodeOwner, OfAnotherUserSinceIsLeftAlone) {
    lends();
    ASSERT_EQ(place.run({"open", attach_function}), 0);
    ASSERT_EQ(::chown(place.root.at("/dev/vfio/41").c_str(), 5, 0), 0);
    EXPECT_EQ(place.run({"open", detach_function}), 0);
    EXPECT_EQ(place.owner_of(function_group), 5u);
}

TEST_F(NodeOwner, OfAContainerNodeThatIsClosedIsTold) {
    lends();
    std::filesystem::permissions(place.root.at("/dev/vfio/vfio"), std::filesystem::perms(0600));
    ASSERT_EQ(place.run({"open"}), 0);
    EXPECT_EQ(place.run({"open", attach_function}), KATA_VFIO_E_PERMISSION_DENIED / 100);
    EXPECT_EQ(place.owner_of(function_group), 0u);
    EXPECT_EQ(place.machine.count("device_add"), plugs);
}

/// Two functions of one group, in different slots: each goes alone.
TEST_F(NodeOwner, StaysWhileTheGroupHasAnotherDevice) {
    fake::FunctionSpec second;
    second.address = "0000:00:1e.0";
    second.class_code = 0x020000;
    second.driver = "vfio-pci";
    second.group = function_group;
    place.root.populate_function(second);
    lends();
    ASSERT_EQ(place.run({"open", "attach=/dev/vfio/41"}), 0);
    ASSERT_EQ(place.plugged().size(), 2u);
    EXPECT_EQ(place.owner_of(function_group), user);
    EXPECT_EQ(place.run({"open", detach_function}), 0);
    EXPECT_EQ(place.plugged().size(), 1u);
    EXPECT_EQ(place.owner_of(function_group), user) << "the other one is still attached";
    EXPECT_EQ(place.run({"open", "detach=" + second.address}), 0);
    EXPECT_EQ(place.owner_of(function_group), 0u);
}

TEST_F(NodeOwner, OfRootsQemuIsNotLookedAt) {
    place.qemu_is_user(0, "chown_nodes = true");
    // As root, which the modes bind no more than they bind a user with the capability.
    place.root.write("/proc/" + std::to_string(::getpid()) + "/status",
                     "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\n");
    std::filesystem::permissions(place.root.at("/dev/vfio/41"), std::filesystem::perms(0));
    ASSERT_EQ(place.run({"open", attach_function}), 0);
    EXPECT_EQ(place.owner_of(function_group), 0u);
}

TEST_F(NodeOwner, OfAVgpuThatGoesNeedsNothing) {
    lends();
    ASSERT_EQ(place.run({"open", attach_vgpu}), 0);
    EXPECT_EQ(place.run({"open", "detach=" + std::string(uuid_a)}), 0);
    EXPECT_EQ(difference(place.before, place.host_side()), "");
}

TEST_F(NodeOwner, IsGivenBackWhenTheAttachFails) {
    lends();
    ASSERT_EQ(place.run({"open"}), 0);
    place.machine.refuse_device_add("not today");
    EXPECT_NE(place.run({"open", attach_gpu}), 0);
    EXPECT_EQ(difference(place.before, place.host_side()), "");
}

} // namespace
} // namespace kata_vfio::abi_test
