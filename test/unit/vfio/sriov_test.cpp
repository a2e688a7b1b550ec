// SPDX-License-Identifier: Apache-2.0
#include "vfio/sriov.hpp"

#include "test/fixtures/fake_root/fake_root.hpp"

#include <gmock/gmock.h>

namespace kata_vfio::vfio {
namespace {

using ::testing::ElementsAre;

PhysicalFunction physical(const char* address, unsigned total, unsigned offset, unsigned stride) {
    PhysicalFunction made;
    made.address = PciAddress::require(address);
    made.total = total;
    made.offset = offset;
    made.stride = stride;
    return made;
}

// By the routing ids, as pci_iov_virtfn_devfn() and _bus() of drivers/pci/iov.c have it.
TEST(PhysicalFunctionTest, WhereItsVirtualFunctionsAre) {
    const auto at = [](const PhysicalFunction& function, unsigned index) {
        const auto address = function.function(index);
        return address ? address->text() : std::string("none");
    };
    const auto igb = physical("0000:01:00.0", 7, 128, 2);
    EXPECT_EQ(at(igb, 0), "0000:01:10.0");
    EXPECT_EQ(at(igb, 3), "0000:01:10.6");
    EXPECT_EQ(at(igb, 4), "0000:01:11.0");
    EXPECT_EQ(at(igb, 6), "0000:01:11.4");
    EXPECT_EQ(at(igb, 7), "none");
    const auto over = physical("0001:00:02.0", 300, 240, 16);
    EXPECT_EQ(at(over, 0), "0001:01:00.0");
    EXPECT_EQ(at(over, 1), "0001:01:02.0");
    EXPECT_EQ(at(physical("0000:ff:1f.7", 4, 1, 1), 0), "none");
}

TEST(PhysicalFunctionTest, IsReadFromSysfs) {
    fake::FakeRoot root;
    fake::FunctionSpec spec;
    spec.address = "0000:01:00.0";
    spec.total_functions = 3;
    spec.numa_node = 1;
    root.populate_function(spec);
    fake::FunctionSpec virtual_function;
    virtual_function.address = "0000:01:02.0";
    virtual_function.driver.reset();
    root.populate_function(virtual_function);
    root.populate_function({});
    root.link("/sys/bus/pci/devices/0000:01:00.0/virtfn0",
              root.at("/sys/devices/pci0000:00/0000:01:02.0"));
    const auto found = list_physical_functions(root.host());
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0].address.text(), "0000:01:00.0");
    EXPECT_EQ(found[0].total, 3u);
    EXPECT_EQ(found[0].numa_node, 1);
    EXPECT_THAT(found[0].functions, ElementsAre(PciAddress::require("0000:01:02.0")));
    EXPECT_EQ(found[0].function(0), found[0].functions[0]);
    EXPECT_FALSE(read_physical_function(root.host(), PciAddress::require("0000:00:02.0")));
    EXPECT_FALSE(read_physical_function(root.host(), PciAddress::require("0000:09:00.0")));
}

constexpr const char* aliases = "alias pci:v00008086d0000E20Bsv*sd*bc*sc*i* xe\n"
                                "alias vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci\n"
                                "alias vfio_pci:v00008086d0000E20Bsv*sd*bc03sc*i* xe_vfio_pci\n"
                                "alias vfio_pci:v000015B3d0000101Esv*sd*bc*sc*i* mlx5_vfio_pci\n"
                                "alias vfio_pci:broken\n";
constexpr const char* battlemage = "pci:v00008086d0000E20Bsv00008086sd00000000bc03sc00i00";

TEST(VfioDriver, TheVariantThatFitsBest) {
    EXPECT_THAT(vfio_variants(aliases, battlemage), ElementsAre("xe_vfio_pci", "vfio_pci"));
    EXPECT_THAT(vfio_variants(aliases, "pci:v00001AF4d00001041sv0sd0bc02sc00i00"),
                ElementsAre("vfio_pci"));
    EXPECT_THAT(vfio_variants(aliases, ""), ElementsAre());
    EXPECT_THAT(vfio_variants("", battlemage), ElementsAre());
}

TEST(VfioDriver, MustBeLoaded) {
    fake::FakeRoot root;
    EXPECT_EQ(vfio_driver_for(root.host(), battlemage), "vfio-pci");
    root.write("/proc/sys/kernel/osrelease", "6.19.0\n");
    root.write("/lib/modules/6.19.0/modules.alias", aliases);
    EXPECT_EQ(vfio_driver_for(root.host(), battlemage), "vfio-pci");
    root.populate_driver("xe-vfio-pci");
    EXPECT_EQ(vfio_driver_for(root.host(), battlemage), "xe-vfio-pci");
}

} // namespace
} // namespace kata_vfio::vfio
