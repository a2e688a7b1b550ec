// SPDX-License-Identifier: Apache-2.0
#include "vfio/iommu_group.hpp"

#include "expect_failure.hpp"
#include "test/fixtures/fake_root/fake_root.hpp"

#include <filesystem>

using namespace kata_vfio;
using namespace kata_vfio::vfio;
using testing::HasSubstr;

namespace {

const auto gpu = *PciAddress::parse("0000:00:02.0");

/// Group 4: a bridge port and two functions of the chipset, as 0000:00:1f.x on a PC.
void populate_chipset(fake::FakeRoot& root) {
    const auto add = [&](const char* address, std::uint32_t class_code, const char* driver,
                         std::uint8_t header) {
        fake::FunctionSpec spec;
        spec.address = address;
        spec.class_code = class_code;
        spec.header_type = header;
        if (driver != nullptr)
            spec.driver = driver;
        else
            spec.driver.reset();
        spec.group = 4;
        root.populate_function(spec);
    };
    add("0000:00:1f.0", 0x060400, "pcieport", 1);
    add("0000:00:1f.2", 0x010601, "ahci", 0);
    add("0000:00:1f.3", 0x0c0500, "i801_smbus", 0);
    add("0000:00:1f.4", 0x0c0500, nullptr, 0);
}

} // namespace

TEST(IommuGroup, MembersNameAndType) {
    fake::FakeRoot root;
    root.populate_gvt_host();
    root.populate_mdev("0000:00:02.0", "i915-GVTg_V4_8", "bbc4aafe-5807-11e8-a43e-03533cceae7d", 9);
    root.write("/sys/kernel/iommu_groups/9/name", "some name\n");
    const auto groups = list_groups(root.host());
    ASSERT_EQ(groups.size(), 3u);
    EXPECT_EQ(groups[1].number, 1);
    ASSERT_EQ(groups[1].members.size(), 1u);
    EXPECT_EQ(groups[1].members[0].pci, gpu);
    EXPECT_FALSE(groups[1].members[0].is_mdev);
    EXPECT_EQ(groups[1].type, "DMA");
    EXPECT_EQ(groups[1].name, std::nullopt);
    EXPECT_EQ(groups[2].number, 9);
    EXPECT_TRUE(groups[2].members.at(0).is_mdev);
    EXPECT_EQ(groups[2].name, "some name");
    EXPECT_EQ(group_of(root.host(), gpu), 1);
}

TEST(IommuGroup, UnknownGroupSaysWhatThereIs) {
    fake::FakeRoot root;
    root.populate_gvt_host();
    EXPECT_EQ(test::failure_text(Errc::device_not_found, [&] { read_group(root.host(), 77); }),
              "no IOMMU group 77 on this host; there are groups 0 to 1: see "
              "/sys/kernel/iommu_groups");
}

TEST(IommuGroup, NoIommuTellsHostFromFunction) {
    fake::FakeRoot root;
    fake::FunctionSpec spec;
    root.populate_function(spec);
    const auto group = [&] { group_of(root.host(), gpu); };
    EXPECT_THAT(test::failure_text(Errc::no_iommu, group),
                HasSubstr("this host has no IOMMU groups; intel_iommu=on is on the kernel command "
                          "line: enable VT-d in the firmware"));
    root.write("/proc/cmdline", "quiet intel_iommu=off\n");
    EXPECT_THAT(test::failure_text(Errc::no_iommu, group),
                HasSubstr("this host has no IOMMU groups; put intel_iommu=on"));
    EXPECT_THAT(test::failure_text(Errc::no_iommu, [&] { read_group(root.host(), 1); }),
                HasSubstr("put intel_iommu=on"));
    root.populate_group(0);
    EXPECT_THAT(test::failure_text(Errc::no_iommu, group),
                HasSubstr("0000:00:02.0 has no IOMMU group, though this host has 1"));
    EXPECT_THAT(
        test::failure_text(Errc::device_not_found,
                           [&] { group_of(root.host(), *PciAddress::parse("0001:00:00.0")); }),
        HasSubstr("no PCI function 0001:00:00.0"));
}

TEST(IommuGroup, NamesEveryBlockerAndTheCommands) {
    fake::FakeRoot root;
    populate_chipset(root);
    const auto group = read_group(root.host(), 4);
    EXPECT_EQ(viability_blockers(root.host(), group).size(), 2u);
    EXPECT_EQ(
        test::failure_text(Errc::group_not_viable, [&] { require_viable(root.host(), group); }),
        "IOMMU group 4 is not viable (blocked by 0000:00:1f.2 is bound to ahci and "
        "0000:00:1f.3 is bound to i801_smbus); the whole group goes to one guest, so take "
        "them from the host first: kata-vfio bind 0000:00:1f.2; kata-vfio bind 0000:00:1f.3");
    const auto blockers =
        viability_blockers(root.host(), group, {*PciAddress::parse("0000:00:1f.2")});
    ASSERT_EQ(blockers.size(), 1u);
    EXPECT_EQ(blockers[0].member, "0000:00:1f.3");
    EXPECT_EQ(blockers[0].driver, "i801_smbus");
    EXPECT_NO_THROW(
        require_viable(root.host(), group,
                       {*PciAddress::parse("0000:00:1f.2"), *PciAddress::parse("0000:00:1f.3")}));
}

TEST(IommuGroup, StubVfioVariantAndUnboundDoNotBlock) {
    fake::FakeRoot root;
    int device = 0;
    for (const char* driver : {"pci-stub", "vfio-pci", "mlx5_vfio_pci", "nouveau-like"}) {
        fake::FunctionSpec spec;
        spec.address = "0000:03:0" + std::to_string(device++) + ".0";
        spec.driver = driver;
        spec.group = 2;
        root.populate_function(spec);
    }
    const auto blockers = viability_blockers(root.host(), read_group(root.host(), 2));
    ASSERT_EQ(blockers.size(), 1u);
    EXPECT_EQ(blockers[0].driver, "nouveau-like");
}
