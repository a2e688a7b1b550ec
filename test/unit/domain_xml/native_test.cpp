// SPDX-License-Identifier: Apache-2.0
#include "config/base/failure.hpp"
#include "qemu/domain_xml/native.hpp"

#include <boost/json.hpp>
#include <gmock/gmock.h>

namespace kata_vfio::qemu::domain_xml {
namespace {

namespace json = boost::json;
using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> differ(const char* one, const char* other) {
    return differences(json::parse(one).as_object(), "libvirt", json::parse(other).as_object(),
                       "we");
}

TEST(Native, SplitsAsAShellWould) {
    EXPECT_THAT(split_native("A=b  c 'd e' ''\n'f'\\''g' h\\ i \\\nj"),
                ElementsAre("A=b", "c", "d e", "", "f'g", "h i", "j"));
    EXPECT_THAT(split_native(" "), ElementsAre());
    EXPECT_THROW(split_native("a 'b"), Failure);
}

TEST(Native, FindsTheVfioDevices) {
    // Written by libvirt 9.0 for QEMU 7.2.
    const auto found = vfio_devices(
        "LC_ALL=C /usr/bin/qemu-system-x86_64 -name guest=s1,debug-threads=on -S "
        "-device "
        "'{\"driver\":\"piix3-usb-uhci\",\"id\":\"usb\",\"bus\":\"pci.0\",\"addr\":\"0x1.0x2\"}' "
        "-device "
        "'{\"driver\":\"vfio-pci\",\"id\":\"hostdev0\",\"sysfsdev\":\"/sys/bus/mdev/devices/u\","
        "\"display\":\"off\",\"bus\":\"pci.0\",\"addr\":\"0x5\"}' -device virtio-balloon-pci,id=b "
        "-device "
        "'{\"driver\":\"vfio-pci\",\"host\":\"0000:00:02.0\",\"id\":\"hostdev1\",\"bus\":\"pci.0\","
        "\"addr\":\"0x6\"}' -device");
    ASSERT_EQ(found.size(), 2u);
    EXPECT_EQ(host_device(found[0]), "/sys/bus/mdev/devices/u");
    EXPECT_EQ(host_device(found[1]), "/sys/bus/pci/devices/0000:00:02.0");
    EXPECT_EQ(host_device({}), "");
}

TEST(Native, TheSameInOtherWords) {
    EXPECT_THAT(
        differ(
            R"({"driver":"vfio-pci","id":"hostdev0","sysfsdev":"/s","display":"off","bus":"pci.0","addr":"0x5"})",
            R"({"driver":"vfio-pci","id":"vfio-1","sysfsdev":"/s","bus":"pci.0","addr":"05.0"})"),
        ElementsAre());
    EXPECT_THAT(
        differ(
            R"({"host":"0000:00:02.0","addr":"0x1f.0x7","multifunction":"on"})",
            R"({"sysfsdev":"/sys/bus/pci/devices/0000:00:02.0","addr":"1f.7","multifunction":true})"),
        ElementsAre());
}

TEST(Native, MultifunctionIsFunctionZerosAlone) {
    EXPECT_THAT(differ(R"({"addr":"0x2.0x1"})", R"({"addr":"02.1","multifunction":true})"),
                ElementsAre());
    EXPECT_THAT(differ(R"({"addr":"0x2"})", R"({"addr":"02.0","multifunction":true})"),
                ElementsAre("multifunction: libvirt has 'false', we 'true'"));
}

TEST(Native, EveryDifferenceIsTold) {
    const auto base = R"({"driver":"vfio-pci","sysfsdev":"/s","bus":"pci.0","addr":"05"})";
    EXPECT_THAT(
        differ(R"({"driver":"vfio-pci-nohotplug","sysfsdev":"/s","bus":"pci.0","addr":"05"})",
               base),
        ElementsAre("driver: libvirt has 'vfio-pci-nohotplug', we 'vfio-pci'"));
    EXPECT_THAT(differ(R"({"driver":"vfio-pci","sysfsdev":"/t","bus":"pci.0","addr":"05"})", base),
                ElementsAre("the host's device: libvirt has '/t', we '/s'"));
    EXPECT_THAT(differ(R"({"driver":"vfio-pci","sysfsdev":"/s","bus":"pci.1","addr":"05"})", base),
                ElementsAre("bus: libvirt has 'pci.1', we 'pci.0'"));
    EXPECT_THAT(differ(R"({"driver":"vfio-pci","sysfsdev":"/s","bus":"pci.0","addr":"0x6"})", base),
                ElementsAre("addr: libvirt has '6.0', we '5.0'"));
    EXPECT_THAT(
        differ(R"({"driver":"vfio-pci","sysfsdev":"/s","bus":"pci.0","addr":"0x5.0x1"})", base),
        ElementsAre("addr: libvirt has '5.1', we '5.0'"));
    EXPECT_THAT(differ(R"({"driver":"vfio-pci","sysfsdev":"/s","bus":"pci.0"})", base),
                ElementsAre("addr: libvirt has nothing, we '5.0'"));
    EXPECT_THAT(
        differ(
            R"({"driver":"vfio-pci","sysfsdev":"/s","bus":"pci.0","addr":"05","ramfb":true,"display":"on"})",
            base),
        ElementsAre(HasSubstr("display: libvirt has 'on', we 'off'"),
                    HasSubstr("ramfb: libvirt has 'true', we nothing")));
    EXPECT_THAT(differ(R"({"driver":"vfio-pci","sysfsdev":"/s","bus":"pci.0","addr":"zz"})", base),
                ElementsAre("addr: libvirt has 'no slot: zz', we '5.0'"));
    EXPECT_THAT(
        differ(
            R"({"driver":"vfio-pci","sysfsdev":"/s","host":"0000:00:02.0","bus":"pci.0","addr":"05"})",
            base),
        ElementsAre())
        << "sysfsdev wins in QEMU too";
}

} // namespace
} // namespace kata_vfio::qemu::domain_xml
