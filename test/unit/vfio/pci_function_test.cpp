// SPDX-License-Identifier: Apache-2.0
#include "vfio/pci_function.hpp"

#include "config/base/unique_fd.hpp"
#include "expect_failure.hpp"
#include "test/fixtures/fake_root/fake_root.hpp"

#include <fcntl.h>
#include <sys/stat.h>

using namespace kata_vfio;
using namespace kata_vfio::vfio;
using testing::HasSubstr;

namespace {
const auto gpu = *PciAddress::parse("0000:00:02.0");
const std::string gpu_dir = "/sys/bus/pci/devices/0000:00:02.0";
} // namespace

TEST(PciFunction, ReadsTheWalkthroughsGpu) {
    fake::FakeRoot root;
    root.populate_gvt_host();
    const auto f = read_function(root.host(), gpu);
    EXPECT_EQ(f.ids(), "8086:1616");
    EXPECT_EQ(f.class_text(), "0300");
    EXPECT_EQ(f.class_code, 0x030000u);
    EXPECT_TRUE(f.is_display());
    EXPECT_FALSE(f.is_bridge());
    EXPECT_TRUE(f.boot_vga);
    EXPECT_EQ(f.driver, "i915");
    EXPECT_EQ(f.driver_override, std::nullopt);
    EXPECT_EQ(f.iommu_group, 1);
    EXPECT_EQ(f.numa_node, -1);
    EXPECT_FALSE(f.on_vfio);
    EXPECT_FALSE(f.unbind_pending);
    EXPECT_EQ(f.modalias, "pci:v00008086d00001616");
    EXPECT_EQ(f.sysfs, gpu_dir);
    ASSERT_EQ(f.bars.size(), 4u);
    EXPECT_EQ(f.bars[0].size, 16u << 20);
    EXPECT_TRUE(f.bars[0].is_64bit);
    EXPECT_FALSE(f.bars[0].prefetchable);
    EXPECT_EQ(f.bars[1].index, 2);
    EXPECT_EQ(f.bars[1].size, 256u << 20);
    EXPECT_TRUE(f.bars[1].prefetchable);
    EXPECT_TRUE(f.bars[2].io);
    EXPECT_EQ(f.bars[2].size, 64u);
    EXPECT_EQ(f.bars[3].index, 6);
}

TEST(PciFunction, AbsentSaysTheNearest) {
    fake::FakeRoot root;
    root.populate_gvt_host();
    const auto text = test::failure_text(Errc::device_not_found, [&] {
        read_function(root.host(), *PciAddress::parse("0000:00:03.0"));
    });
    EXPECT_THAT(text,
                HasSubstr("no PCI function 0000:00:03.0 on this host; did you mean 0000:00:0"));
    EXPECT_THAT(text, HasSubstr("/sys/bus/pci/rescan"));
}

TEST(PciFunction, MalformedAttributesAreNamedOrUnknown) {
    fake::FakeRoot root;
    root.populate_gvt_host();
    root.write(gpu_dir + "/numa_node", "many\n");
    root.write(gpu_dir + "/resource", "0xZZ\n0x10 0x0f 0x200\n1 2\n\n0x0 0xfff 0x200\n");
    root.write(gpu_dir + "/config", "");
    root.write(gpu_dir + "/driver_override", "\n");
    root.write(gpu_dir + "/sriov_numvfs", "-3\n");
    root.link(gpu_dir + "/iommu_group", "../somewhere/else");
    const auto f = read_function(root.host(), gpu);
    EXPECT_EQ(f.numa_node, -1);
    ASSERT_EQ(f.bars.size(), 1u);
    EXPECT_EQ(f.bars[0].index, 4);
    EXPECT_EQ(f.bars[0].size, 4096u);
    EXPECT_EQ(f.header_type, 0);
    EXPECT_EQ(f.driver_override, std::nullopt);
    EXPECT_EQ(f.virtual_functions, 0u);
    EXPECT_EQ(f.iommu_group, std::nullopt);

    root.write(gpu_dir + "/vendor", "0xgarbage\n");
    EXPECT_EQ(test::failure_text(Errc::host_io, [&] { read_function(root.host(), gpu); }),
              gpu_dir + "/vendor has '0xgarbage' where a hex number belongs");
    std::filesystem::remove(root.at(gpu_dir + "/vendor"));
    EXPECT_EQ(test::failure_text(Errc::host_io, [&] { read_function(root.host(), gpu); }),
              gpu_dir + "/vendor is missing or can't be read");
}

// Cut to their size these would be 8086:1616, a VGA controller and one virtual function.
TEST(PciFunction, NumbersTooLargeAreNotCutToSize) {
    fake::FakeRoot root;
    root.populate_gvt_host();
    root.write(gpu_dir + "/sriov_numvfs", "4294967297\n");
    root.write(gpu_dir + "/resource", "0x0 0xffffffffffffffff 0x200\n0x0 0xfff 0x200\n");
    const auto f = read_function(root.host(), gpu);
    EXPECT_EQ(f.virtual_functions, 0u);
    ASSERT_EQ(f.bars.size(), 1u);
    EXPECT_EQ(f.bars[0].index, 1);
    for (const auto* const wide : {"vendor 0x18086", "device 0x11616", "class 0x1030000"}) {
        const std::string_view both(wide);
        const auto name = std::string(both.substr(0, both.find(' ')));
        const auto text = std::string(both.substr(name.size() + 1));
        const auto before = root.read(gpu_dir + '/' + name);
        root.write(gpu_dir + '/' + name, text + '\n');
        EXPECT_EQ(test::failure_text(Errc::host_io, [&] { read_function(root.host(), gpu); }),
                  gpu_dir + '/' + name + " has '" + text + "', more than the attribute can hold");
        root.write(gpu_dir + '/' + name, before);
    }
}

TEST(PciFunction, ListIsSortedAndLeavesOutWhatCanNotBeRead) {
    fake::FakeRoot root;
    root.populate_gvt_host();
    fake::FunctionSpec nic;
    nic.address = "0000:01:00.0";
    nic.class_code = 0x020000;
    nic.numa_node = 1;
    root.populate_function(nic);
    root.write("/sys/bus/pci/devices/0000:01:00.0/device", "");
    root.link("/sys/bus/pci/devices/not-an-address", "/nowhere");
    const auto list = list_functions(root.host());
    ASSERT_EQ(list.size(), 2u);
    EXPECT_EQ(list[0].address.text(), "0000:00:00.0");
    EXPECT_TRUE(list[0].is_bridge());
    EXPECT_EQ(list[1].address, gpu);
    EXPECT_TRUE(list_functions(HostRoot("/nonexistent")).empty());
}

TEST(PciFunction, OverrideAndVariantDriversAreSeen) {
    fake::FakeRoot root;
    fake::FunctionSpec spec;
    spec.driver = "xe-vfio-pci";
    spec.driver_override = "xe-vfio-pci";
    spec.group = 3;
    spec.header_type = 0x80; // the multifunction bit is no type
    root.populate_function(spec);
    const auto f = read_function(root.host(), gpu);
    EXPECT_TRUE(f.on_vfio);
    EXPECT_EQ(f.driver_override, "xe-vfio-pci");
    EXPECT_FALSE(f.is_bridge());
}

TEST(PciFunction, AParentOfVgpusThatWaitsForTheirUsersIsNotRead) {
    fake::FakeRoot root;
    fake::FunctionSpec spec;
    spec.driver = "i915";
    spec.group = 1;
    root.populate_function(spec);
    std::filesystem::create_directory(root.at(gpu_dir + "/mdev_supported_types"));
    const auto vgpu = gpu_dir + "/83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";
    std::filesystem::create_directory(root.at(vgpu));
    std::filesystem::create_symlink("../../../../kernel/iommu_groups/9",
                                    root.at(vgpu + "/iommu_group"));
    EXPECT_FALSE(read_function(root.host(), gpu).unbind_pending);
    std::filesystem::remove(root.at(gpu_dir + "/driver"));
    // A reader of the real attribute waits for the device lock; one of this for a writer.
    std::filesystem::remove(root.at(gpu_dir + "/driver_override"));
    ASSERT_EQ(::mkfifo(root.at(gpu_dir + "/driver_override").c_str(), 0600), 0);
    EXPECT_TRUE(read_function(root.host(), gpu).unbind_pending);
}

TEST(PciFunction, ABlockedUnbindIsSeenWithoutTouchingTheLockedAttribute) {
    fake::FakeRoot root;
    fake::FunctionSpec spec;
    spec.driver = "vfio-pci";
    spec.group = 3;
    root.populate_function(spec);
    std::filesystem::remove(root.at(gpu_dir + "/driver"));
    EXPECT_TRUE(read_function(root.host(), gpu).unbind_pending);
    // From 6.6 on vfio-dev/ is gone too, and only the read itself tells: a FIFO stands for the
    // lock.
    std::filesystem::remove_all(root.at(gpu_dir + "/vfio-dev"));
    std::filesystem::remove(root.at(gpu_dir + "/driver_override"));
    ASSERT_EQ(::mkfifo(root.at(gpu_dir + "/driver_override").c_str(), 0600), 0);
    const auto f = read_function(root.host(), gpu);
    EXPECT_TRUE(f.unbind_pending);
    EXPECT_EQ(f.driver_override, std::nullopt);
    // Let the child of ours end: a writer that closes gives it an end of file.
    const UniqueFd writer(::open(root.at(gpu_dir + "/driver_override").c_str(), O_WRONLY));
    EXPECT_TRUE(writer);
}
