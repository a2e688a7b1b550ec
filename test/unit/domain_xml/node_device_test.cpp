// SPDX-License-Identifier: Apache-2.0
#include "config/base/failure.hpp"
#include "qemu/domain_xml/node_device.hpp"

#include <gmock/gmock.h>

namespace kata_vfio::qemu::domain_xml {
namespace {

using testing::HasSubstr;

constexpr auto uuid = "bbc4aafe-5807-11e8-a43e-03533cceae7d";

std::string refusal(const std::string& xml) {
    try {
        read_node(xml);
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.code(), Errc::invalid_argument);
        return failure.what();
    }
    return "taken";
}

TEST(NodeDevice, AVgpuToBeCreated) {
    const auto xml = write_node(VgpuNode{uuid, "i915-GVTg_V4_8", {0, 0, 2, 0}, {}});
    EXPECT_EQ(xml,
              "<device>\n  <name>mdev_bbc4aafe_5807_11e8_a43e_03533cceae7d_0000_00_02_0</name>\n"
              "  <parent>pci_0000_00_02_0</parent>\n  <capability type='mdev'>\n"
              "    <type id='i915-GVTg_V4_8'/>\n"
              "    <uuid>bbc4aafe-5807-11e8-a43e-03533cceae7d</uuid>\n"
              "  </capability>\n</device>\n");
    const auto read = read_node(xml);
    ASSERT_TRUE(read.vgpu);
    EXPECT_EQ(read.vgpu->uuid, uuid);
    EXPECT_EQ(read.vgpu->type, "i915-GVTg_V4_8");
    EXPECT_EQ(read.vgpu->parent.text(), "0000:00:02.0");
    EXPECT_THAT(
        write_node(VgpuNode{uuid, "t<", {0, 0, 2, 0}, 7}),
        testing::AllOf(HasSubstr("<type id='t&lt;'/>"), HasSubstr("<iommuGroup number='7'/>")));
}

TEST(NodeDevice, AFunction) {
    FunctionNode function;
    function.place = {0, 0, 2, 0};
    function.driver = "i915";
    function.class_code = 0x030000;
    function.vendor = 0x8086;
    function.device = 0x1616;
    function.iommu_group = 1;
    function.group_members = {function.place, {0, 0, 2, 1}};
    function.types = {{"i915-GVTg_V4_8", "", "vfio-pci", 7}};
    const auto xml = write_node(function);
    EXPECT_THAT(xml, HasSubstr("<name>pci_0000_00_02_0</name>"));
    EXPECT_THAT(xml, HasSubstr("<class>0x030000</class>"));
    EXPECT_THAT(xml, HasSubstr("<vendor id='0x8086'/>"));
    EXPECT_THAT(xml, HasSubstr("<availableInstances>7</availableInstances>"));
    EXPECT_THAT(xml, HasSubstr("<address domain='0x0000' bus='0x00' slot='0x02' function='0x1'/>"));
    EXPECT_EQ(read_node(xml).function, function.place);
    EXPECT_FALSE(read_node(xml).vgpu);
}

TEST(NodeDevice, Refusals) {
    EXPECT_THAT(refusal("<domain/>"), HasSubstr("<domain>: this is no node device XML"));
    EXPECT_THAT(refusal("<device/>"), HasSubstr("capability '' is neither"));
    EXPECT_THAT(refusal("<device><capability type='net'/></device>"), HasSubstr("'net'"));
    EXPECT_THAT(refusal("<device><capability type='mdev'/></device>"), HasSubstr("no <type id="));
    EXPECT_THAT(refusal("<device><parent>mtty</parent><capability type='mdev'><type id='t'/>"
                        "</capability></device>"),
                HasSubstr("parent 'mtty' is no PCI function"));
    EXPECT_THAT(refusal("<device><parent>pci_0000_00_02_0</parent><capability type='mdev'><type "
                        "id='t'/><attr name='a' value='b'/></capability></device>"),
                HasSubstr("<attr>: an attach sets no attributes"));
    EXPECT_THAT(refusal("<device><capability type='pci'><domain>0</domain></capability></device>"),
                HasSubstr("it has no <bus>"));
}

} // namespace
} // namespace kata_vfio::qemu::domain_xml
