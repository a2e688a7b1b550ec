// SPDX-License-Identifier: Apache-2.0
#include "vfio/vfio_node.hpp"

#include "expect_failure.hpp"
#include "test/fixtures/fake_root/fake_root.hpp"

#include <filesystem>
#include <sstream>

using namespace kata_vfio;
using namespace kata_vfio::vfio;
using testing::HasSubstr;

namespace {

const std::string uuid = "bbc4aafe-5807-11e8-a43e-03533cceae7d";

class Node : public testing::Test {
  protected:
    void SetUp() override {
        root.populate_gvt_host();
        root.populate_mdev("0000:00:02.0", "i915-GVTg_V4_8", uuid, 9);
        fake::FunctionSpec nic;
        nic.address = "0000:01:00.0";
        nic.driver = "vfio-pci";
        nic.group = 5;
        root.populate_function(nic);
    }
    std::string refusal(Errc code, std::string_view path) {
        return test::failure_text(code, [&] { resolve_node(root.host(), path); });
    }
    fake::FakeRoot root;
};

} // namespace

TEST_F(Node, GroupNodeOfAFunctionAndOfAVgpu) {
    const auto nic = resolve_node(root.host(), "/dev/vfio/5");
    EXPECT_EQ(nic.node.kind, NodeKind::group);
    EXPECT_EQ(nic.node.path, "/dev/vfio/5");
    EXPECT_EQ(nic.group, 5);
    EXPECT_EQ(nic.node.major, 241u);
    EXPECT_EQ(nic.node.minor, 5u);
    ASSERT_EQ(nic.functions.size(), 1u);
    EXPECT_EQ(nic.functions[0].text(), "0000:01:00.0");
    EXPECT_TRUE(nic.mdevs.empty());
    const auto vgpu = resolve_node(root.host(), "/dev/vfio/9");
    EXPECT_EQ(vgpu.mdevs, std::vector<std::string>{uuid});
    EXPECT_TRUE(vgpu.functions.empty());
}

TEST_F(Node, DeviceNode) {
    root.populate_cdev("vfio3", "0000:01:00.0");
    root.populate_cdev("vfio4", uuid);
    const auto nic = resolve_node(root.host(), "/dev/vfio/devices/vfio3");
    EXPECT_EQ(nic.node.kind, NodeKind::cdev);
    EXPECT_EQ(nic.node.cdev, "vfio3");
    EXPECT_EQ(nic.node.major, 511u);
    EXPECT_EQ(nic.group, 5);
    EXPECT_EQ(nic.functions.at(0).text(), "0000:01:00.0");
    EXPECT_EQ(resolve_node(root.host(), "/dev/vfio/devices/vfio4").mdevs.at(0), uuid);
    EXPECT_EQ(resolve_devnum(root.host(), 511, 4).mdevs.at(0), uuid);
    EXPECT_THAT(refusal(Errc::device_not_found, "/dev/vfio/devices/vfio8"),
                HasSubstr("/dev/vfio/devices/vfio8 does not exist; there are vfio3 and vfio4"));
    root.write("/dev/vfio/devices/vfio7", "");
    EXPECT_THAT(refusal(Errc::not_a_vfio_node, "/dev/vfio/devices/vfio7"),
                HasSubstr("has no device in /sys/class/vfio-dev"));
}

TEST_F(Node, DeviceNodeOfADevice) {
    const auto of = [&](const std::string& sysfs) { return cdev_node(root.host(), sysfs); };
    EXPECT_EQ(of("/sys/bus/pci/devices/0000:01:00.0"), std::nullopt);
    root.populate_cdev("vfio3", "0000:01:00.0");
    root.populate_cdev("vfio4", uuid);
    EXPECT_EQ(of("/sys/bus/pci/devices/0000:01:00.0"), "/dev/vfio/devices/vfio3");
    EXPECT_EQ(of("/sys/bus/mdev/devices/" + std::string(uuid)), "/dev/vfio/devices/vfio4");
    EXPECT_EQ(of("/sys/bus/pci/devices/0000:77:00.0"), std::nullopt);
    std::filesystem::remove(root.at("/dev/vfio/devices/vfio3")); // CONFIG_VFIO_DEVICE_CDEV is off
    EXPECT_EQ(of("/sys/bus/pci/devices/0000:01:00.0"), std::nullopt);
}

TEST_F(Node, Iommufd) {
    EXPECT_FALSE(has_iommufd(root.host()));
    root.write("/dev/iommu", "");
    EXPECT_TRUE(has_iommufd(root.host()));
}

TEST_F(Node, DeviceNodeOnAKernelWithoutThem) {
    EXPECT_THAT(refusal(Errc::device_not_found, "/dev/vfio/devices/vfio0"),
                HasSubstr("CONFIG_VFIO_DEVICE_CDEV"));
}

TEST_F(Node, ByNumber) {
    EXPECT_EQ(resolve_devnum(root.host(), 241, 9).mdevs.at(0), uuid);
    const auto refuse = [&](Errc code, unsigned major, unsigned minor) {
        return test::failure_text(code, [&] { resolve_devnum(root.host(), major, minor); });
    };
    EXPECT_THAT(refuse(Errc::device_not_found, 241, 77),
                HasSubstr("no character device 241:77 on this host"));
    root.write("/sys/dev/char/1:3/uevent", "MAJOR=1\nMINOR=3\nDEVNAME=null\n");
    EXPECT_THAT(refuse(Errc::not_a_vfio_node, 1, 3),
                HasSubstr("character device 1:3: /dev/null is not a VFIO node"));
    root.write("/sys/dev/char/10:196/uevent", "DEVNAME=vfio/vfio\n");
    EXPECT_THAT(refuse(Errc::not_a_vfio_node, 10, 196), HasSubstr("container node"));
    root.write("/sys/dev/char/9:9/uevent", "MAJOR=9\n");
    EXPECT_THAT(refuse(Errc::not_a_vfio_node, 9, 9), HasSubstr("has no name in sysfs"));
}

TEST_F(Node, LinksAreFollowedInsideTheRootOnly) {
    root.link("/dev/gpu", "vfio/5");
    root.link("/dev/gpu2", "/dev/gpu");
    root.link("/dev/by-name/gpu", "../vfio/../gpu2");
    for (const char* path :
         {"/dev/gpu", "/dev/gpu2", "/dev/by-name/gpu", "/dev/vfio/../vfio/./5", "/dev//vfio/5"})
        EXPECT_EQ(resolve_node(root.host(), path).node.path, "/dev/vfio/5") << path;
    root.link("/dev/out", "../../../../../../../../etc/passwd");
    EXPECT_EQ(refusal(Errc::device_not_found, "/dev/out"),
              "/dev/out (/etc/passwd) does not exist; there are /dev/vfio/5 and /dev/vfio/9");
    root.link("/dev/loop1", "loop2");
    root.link("/dev/loop2", "loop1");
    EXPECT_THAT(refusal(Errc::device_not_found, "/dev/loop1"), HasSubstr("loop of symbolic links"));
    root.link("/dev/sneaky", "vfio/vfio");
    EXPECT_THAT(refusal(Errc::not_a_vfio_node, "/dev/sneaky"),
                HasSubstr("/dev/sneaky (/dev/vfio/vfio) is the VFIO container node"));
}

TEST_F(Node, EachWrongPathHasItsOwnText) {
    EXPECT_EQ(refusal(Errc::not_a_vfio_node, "/dev/vfio/vfio"),
              "/dev/vfio/vfio is the VFIO container node, not that of a device; pass the group's "
              "node, /dev/vfio/N: there are /dev/vfio/5 and /dev/vfio/9");
    EXPECT_THAT(refusal(Errc::not_a_vfio_node, "/dev/vfio/"),
                HasSubstr("is a directory; there are"));
    EXPECT_THAT(refusal(Errc::not_a_vfio_node, "/dev/vfio"),
                HasSubstr("is a directory; there are"));
    EXPECT_THAT(refusal(Errc::not_a_vfio_node, "/dev/null"),
                HasSubstr("/dev/null is not a VFIO node; VFIO nodes are /dev/vfio/N"));
    EXPECT_THAT(refusal(Errc::device_not_found, "/dev/vfio/5/x"),
                HasSubstr("/dev/vfio/5/x does not exist"));
    EXPECT_THAT(
        refusal(Errc::device_not_found, "/dev/vfio/77"),
        HasSubstr("/dev/vfio/77 does not exist, and there is no IOMMU group 77; there are"));
    EXPECT_THAT(refusal(Errc::device_not_found, "/dev/vfio/99999999999999999999"),
                HasSubstr("does not exist"));
    EXPECT_THAT(refusal(Errc::not_a_vfio_node, "/dev/vfio/noiommu-0"), HasSubstr("noiommu"));
    EXPECT_THAT(refusal(Errc::malformed_device, "dev/vfio/5"), HasSubstr("not an absolute path"));
    EXPECT_THAT(refusal(Errc::malformed_device, ""), HasSubstr("not an absolute path"));
    EXPECT_THAT(refusal(Errc::malformed_device, std::string_view("/dev/vfio/5\0x", 13)),
                HasSubstr("'/dev/vfio/5\\x00x' is not an absolute path"));
    EXPECT_THAT(refusal(Errc::device_not_found, "/dev/vfio/5\nforged"),
                HasSubstr("/dev/vfio/5\\x0aforged does not exist"));
    root.write("/dev/vfio/88", "");
    EXPECT_THAT(refusal(Errc::not_a_vfio_node, "/dev/vfio/88"),
                HasSubstr("belongs to no IOMMU group of this host"));
}

TEST_F(Node, GroupWithoutNodeSaysWhichDriverAndWhatToDo) {
    EXPECT_EQ(refusal(Errc::device_not_found, "/dev/vfio/1"),
              "/dev/vfio/1 does not exist (blocked by no function of IOMMU group 1 is on vfio-pci: "
              "0000:00:02.0 is on i915); kata-vfio bind 0000:00:02.0");
    EXPECT_THAT(refusal(Errc::device_not_found, "/dev/vfio/0"),
                HasSubstr("0000:00:00.0 has no driver"));
    root.populate_group(30);
    EXPECT_THAT(refusal(Errc::device_not_found, "/dev/vfio/30"), HasSubstr("modprobe vfio-pci"));
}

TEST_F(Node, ANodeOfTheWrongNumberIsRefused) {
    // /dev/null's number under the name of a group's node; where mknod is not allowed there is no
    // other way to make such a file.
    std::filesystem::remove(root.at("/dev/vfio/5"));
    std::error_code ec;
    std::filesystem::create_symlink("/dev/null", root.at("/dev/vfio/5"), ec);
    ASSERT_FALSE(ec);
    EXPECT_THAT(refusal(Errc::not_a_vfio_node, "/dev/vfio/5"),
                HasSubstr("/dev/vfio/5 (/dev/null) is not a VFIO node"));
}

TEST(NodeKind, Prints) {
    std::ostringstream out;
    out << NodeKind::group << " " << NodeKind::cdev;
    EXPECT_EQ(out.str(), "group cdev");
}
