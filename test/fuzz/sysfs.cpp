// SPDX-License-Identifier: Apache-2.0
// Line 1 names an attribute of a PCI function or of an mdev parent, the rest are its bytes:
// whatever the kernel (or somebody in its place) says is read as what it says, or as absent.
#include "config/base/text.hpp"
#include "mdev/mdev_type.hpp"
#include "test/fixtures/fake_root/fake_root.hpp"
#include "test/fuzz/fuzz.hpp"
#include "vfio/iommu_group.hpp"
#include "vfio/pci_function.hpp"
#include "vfio/sysfs_read.hpp"

#include <array>
#include <memory>

using namespace kata_vfio::vfio;

namespace kata_vfio::fuzz {
namespace {

constexpr std::string_view function_dir = "/sys/bus/pci/devices/0000:00:02.0/";
constexpr std::string_view type_dir =
    "/sys/class/mdev_bus/0000:00:02.0/mdev_supported_types/i915-GVTg_V4_8/";
constexpr auto attributes =
    std::to_array<std::string_view>({"vendor", "device", "class", "config", "numa_node", "resource",
                                     "boot_vga", "modalias", "sriov_numvfs", "driver_override",
                                     "available_instances", "description", "name", "device_api"});
constexpr std::size_t of_the_function = 10; ///< the first ten; the others are the type's

void check_number(std::string_view text, int base) {
    const auto value = number(text, base);
    if (!value)
        return;
    require(text.find_first_not_of("0123456789abcdefABCDEFxX") == text.npos,
            "a number is digits alone");
    if (base == 10)
        require(number(std::to_string(*value)) == value, "a number reads back as it was");
}

void check(const PciFunction& function, std::string_view name, std::string_view bytes) {
    const auto said = number(trim(bytes), 16);
    if (name == "vendor")
        require(said == function.vendor, "vendor is what the file says");
    if (name == "device")
        require(said == function.device, "device is what the file says");
    if (name == "class")
        require(said == function.class_code, "class is what the file says");
    if (name == "sriov_numvfs")
        require(number(trim(bytes)).value_or(0) == function.virtual_functions ||
                    function.virtual_functions == 0,
                "virtual functions are as many as the file says");
    require(function.numa_node >= -1 && function.numa_node < 1024, "a NUMA node is one");
    require(!function.driver_override || !function.driver_override->empty(), "an override is one");
    int last = -1;
    for (const auto& bar : function.bars) {
        require(bar.size > 0, "only implemented BARs are listed");
        require(bar.index > last && bar.index <= 6, "BARs are 0-6, in order");
        last = bar.index;
    }
}

} // namespace

void one(std::string_view bytes) {
    static const auto root = [] {
        auto made = std::make_unique<fake::FakeRoot>();
        made->populate_gvt_host();
        return made;
    }();
    const auto name = take_line(bytes);
    check_number(bytes, 10);
    check_number(bytes, 16);
    std::size_t which = 0;
    while (which < attributes.size() && attributes[which] != name)
        ++which;
    if (which == attributes.size())
        return;
    const auto file =
        std::string(which < of_the_function ? function_dir : type_dir) + std::string(name);
    const auto before = root->exists(file) ? std::optional(root->read(file)) : std::nullopt;
    root->write(file, bytes);
    refusal({Errc::host_io}, [&] {
        check(read_function(root->host(), *PciAddress::parse("0000:00:02.0")), name, bytes);
    });
    const auto type = mdev::read_type(root->host(), "0000:00:02.0", "i915-GVTg_V4_8");
    require(type.gvt == mdev::parse_description(type.description), "a type has its description");
    if (before)
        root->write(file, *before);
    else
        std::filesystem::remove(root->at(file));
}

} // namespace kata_vfio::fuzz
