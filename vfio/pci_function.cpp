// SPDX-License-Identifier: Apache-2.0
#include "vfio/pci_function.hpp"

#include "config/base/failure.hpp"
#include "config/base/text.hpp"
#include "vfio/host_write.hpp"
#include "vfio/iommu_group.hpp"
#include "vfio/sysfs_read.hpp"
#include "vfio/vfio_node.hpp"

#include <algorithm>
#include <cstdio>

namespace kata_vfio::vfio {
namespace fs = std::filesystem;
namespace {

// include/linux/ioport.h
constexpr std::uint64_t resource_io = 0x100, resource_prefetch = 0x2000, resource_mem_64 = 0x100000;

std::vector<Bar> parse_resource(std::string_view text) {
    std::vector<Bar> bars;
    const auto lines = split(text, '\n');
    for (std::size_t i = 0; i < lines.size() && i < 7; ++i) {
        const auto fields = split(trim(lines[i]), ' ');
        if (fields.size() != 3)
            continue;
        const auto start = number(fields[0], 16), end = number(fields[1], 16),
                   flags = number(fields[2], 16);
        // The whole of the address space is no window either: its size is not a number of 64 bits.
        if (!start || !end || !flags || *flags == 0 || *end <= *start ||
            *end - *start == UINT64_MAX)
            continue;
        Bar bar;
        bar.index = static_cast<int>(i);
        bar.size = *end - *start + 1;
        bar.is_64bit = (*flags & resource_mem_64) != 0;
        bar.prefetchable = (*flags & resource_prefetch) != 0;
        bar.io = (*flags & resource_io) != 0;
        bars.push_back(bar);
    }
    return bars;
}

std::vector<std::string> mediated_devices_in(const fs::path& dir) {
    if (!fs::exists(dir / "mdev_supported_types"))
        return {};
    auto names = names_in(dir);
    std::erase_if(names, [&](const std::string& name) {
        return !link_name(dir / name / "iommu_group").has_value();
    });
    return names;
}

/// A hexadecimal number of 0 to `most`: cut to size it would be another device's id.
std::uint32_t required(const fs::path& dir, const char* name, std::uint32_t most,
                       const HostRoot& root) {
    const auto text = attribute(dir / name);
    const auto value = text ? number(*text, 16) : std::nullopt;
    if (value && *value <= most)
        return static_cast<std::uint32_t>(*value);
    throw Failure(Errc::host_io, root.told(dir / name).string() +
                                     (!text ? std::string(" is missing or can't be read")
                                            : " has " + kata_vfio::quoted(*text) +
                                                  (value ? ", more than the attribute can hold"
                                                         : " where a hex number belongs")));
}

// While vfio-pci waits in an unbind for the last user to let go, the device lock is held and a read
// of driver_override blocks with it. The driver link is gone then, the group is open, and before
// kernel 6.6 vfio-dev/ is still there, which without a driver tells it all. Only when none of that
// settles it is the read made by a child, which is dearer and bounded. A parent of mediated devices
// waits for the users of those, with the same lock and no node of its own; its types stay until
// then, and without a driver nobody offers any.
void read_override(const HostRoot& root, const fs::path& dir, PciFunction& function) {
    std::optional<std::string> text;
    if (!function.driver && !mediated_devices_in(dir).empty()) {
        function.unbind_pending = true;
    } else if (function.driver || !function.iommu_group ||
               !fs::exists(group_node(root, *function.iommu_group))) {
        text = attribute(dir / "driver_override");
    } else if (!names_in(dir / "vfio-dev").empty()) {
        function.unbind_pending = true;
    } else {
        text = host_read(dir / "driver_override", std::chrono::milliseconds(200));
        function.unbind_pending = !text && fs::exists(dir / "driver_override");
    }
    if (text && !text->empty() && *text != "(null)")
        function.driver_override = text;
}

} // namespace

std::string PciFunction::ids() const {
    char text[16];
    std::snprintf(text, sizeof text, "%04x:%04x", vendor, device);
    return text;
}

std::string PciFunction::class_text() const {
    char text[16];
    std::snprintf(text, sizeof text, "%04x", (class_code >> 8) & 0xffffu);
    return text;
}

fs::path function_path(const HostRoot& root, const PciAddress& address) {
    return root.sys("bus/pci/devices") / address.text();
}

std::optional<std::string> current_driver(const HostRoot& root, const PciAddress& address) {
    return link_name(function_path(root, address) / "driver");
}

PciFunction read_function(const HostRoot& root, const PciAddress& address) {
    const auto dir = function_path(root, address);
    if (!fs::exists(dir)) {
        Failure failure(Errc::device_not_found,
                        "no PCI function " + address.text() + " on this host");
        const auto near = nearest(address.text(), names_in(dir.parent_path()));
        failure.remedy((near.empty() ? "" : "did you mean " + near + "? ") +
                       std::string("lspci -Dnn lists them; one that was hot-removed comes back by "
                                   "echo 1 > /sys/bus/pci/rescan"));
        throw failure;
    }
    PciFunction function;
    function.address = address;
    function.sysfs = root.told(dir);
    function.vendor = static_cast<std::uint16_t>(required(dir, "vendor", 0xffff, root));
    function.device = static_cast<std::uint16_t>(required(dir, "device", 0xffff, root));
    function.class_code = required(dir, "class", 0xffffff, root);
    if (const auto config = read_file_head(dir / "config", 64); config.size() > 0x0e)
        function.header_type = static_cast<std::uint8_t>(config[0x0e]) & 0x7f;
    function.driver = link_name(dir / "driver");
    function.iommu_group = group_link(dir);
    if (const auto text = attribute(dir / "numa_node"))
        if (const auto node = number(*text); node && *node < 1024)
            function.numa_node = static_cast<int>(*node);
    function.bars = parse_resource(attribute(dir / "resource").value_or(""));
    function.boot_vga = attribute(dir / "boot_vga") == "1";
    function.modalias = attribute(dir / "modalias").value_or("");
    function.on_vfio =
        function.driver && (*function.driver == "vfio-pci" || !names_in(dir / "vfio-dev").empty());
    if (const auto count = number_attribute(dir / "sriov_numvfs"); count && *count <= 0xffff)
        function.virtual_functions = static_cast<unsigned>(*count);
    if (const auto physical = link_name(dir / "physfn"))
        function.physical_function = PciAddress::parse(*physical);
    read_override(root, dir, function);
    return function;
}

std::vector<PciFunction> list_functions(const HostRoot& root) {
    std::vector<PciFunction> functions;
    for (const auto& name : names_in(root.sys("bus/pci/devices"))) {
        const auto address = PciAddress::parse(name);
        if (!address)
            continue;
        try {
            functions.push_back(read_function(root, *address));
        } catch (const Failure&) {
            // Gone, or going, since the directory was listed: as if it had not been there.
        }
    }
    std::sort(functions.begin(), functions.end(),
              [](const auto& a, const auto& b) { return a.address < b.address; });
    return functions;
}

std::vector<std::string> mediated_devices(const HostRoot& root, const PciAddress& address) {
    return mediated_devices_in(function_path(root, address));
}

void require_no_mediated_devices(const PciAddress& address, const std::vector<std::string>& those) {
    if (those.empty())
        return;
    throw Failure(Errc::device_in_use,
                  address.text() + " has " +
                      (those.size() == 1 ? "a vGPU" : std::to_string(those.size()) + " vGPUs") +
                      " on it, and loses " + (those.size() == 1 ? "it" : "them") +
                      " with its driver")
        .blocked_by(join_words(those, ", "))
        .remedy("detach or remove the vGPUs first (kata-vfio vgpus lists them), or attach one of "
                "its vGPUs instead");
}

} // namespace kata_vfio::vfio
