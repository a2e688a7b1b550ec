// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/agent/guest/device.hpp"

#include "config/base/text.hpp"
#include "config/base/unique_fd.hpp"
#include "runtime-plugin/kernel/system_error.hpp"
#include "vfio/pci_address.hpp"
#include "vfio/sysfs_read.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

namespace kata_vfio::agent {
namespace fs = std::filesystem;
namespace {

constexpr int deepest =
    8; ///< pci function / drm / card0 / card0-HDMI-A-1 / i2c-3 / i2c-dev / i2c-3

fs::path function(const vfio::HostRoot& root, const std::string& address) {
    return root.sys("bus/pci/devices") / address;
}

std::optional<DeviceNode> node_at(const vfio::HostRoot& root, const fs::path& directory) {
    const auto uevent = vfio::attribute(directory / "uevent");
    if (!uevent)
        return std::nullopt;
    DeviceNode node;
    std::optional<std::uint64_t> major, minor;
    for (const auto line : split(*uevent, '\n')) {
        if (line.starts_with("DEVNAME="))
            node.name = line.substr(8);
        else if (line.starts_with("MAJOR="))
            major = vfio::number(line.substr(6));
        else if (line.starts_with("MINOR="))
            minor = vfio::number(line.substr(6));
    }
    if (node.name.empty() || !major || !minor)
        return std::nullopt;
    node.major = static_cast<unsigned>(*major);
    node.minor = static_cast<unsigned>(*minor);
    node.block =
        fs::exists(root.sys("dev/block") / (std::to_string(*major) + ":" + std::to_string(*minor)));
    return node;
}

void collect(const vfio::HostRoot& root, const fs::path& directory, int depth,
             std::vector<DeviceNode>& found) {
    if (auto node = node_at(root, directory))
        found.push_back(std::move(*node));
    if (depth == deepest)
        return;
    std::error_code ec;
    for (const auto& entry : fs::directory_iterator(directory, ec)) {
        const auto name = entry.path().filename().string();
        // Links lead elsewhere (driver, subsystem, iommu_group), and a bridge's children are
        // others.
        if (entry.is_symlink(ec) || !entry.is_directory(ec) || vfio::PciAddress::parse(name))
            continue;
        collect(root, entry.path(), depth + 1, found);
    }
}

void put(const fs::path& file, const std::string& text, const std::string& what) {
    const UniqueFd fd(must(::open(file.c_str(), O_WRONLY | O_CLOEXEC), what));
    must(::write(fd.get(), text.data(), text.size()), what);
}

std::string driver_of(const vfio::HostRoot& root, const std::string& address) {
    return vfio::link_name(function(root, address) / "driver").value_or("");
}

bool is_display(const vfio::HostRoot& root, const std::string& address) {
    const auto code = vfio::number_attribute(function(root, address) / "class", 16);
    return code && (*code >> 16) == 0x03;
}

/// Groups' nodes are not below their functions: class vfio has them, "7", or "noiommu-7".
void collect_vfio(const vfio::HostRoot& root, const std::string& address,
                  std::vector<DeviceNode>& found) {
    const auto group = vfio::link_name(function(root, address) / "iommu_group").value_or("");
    for (const auto& name : {group, "noiommu-" + group})
        if (auto node = node_at(root, root.sys("class/vfio") / name); node && !group.empty())
            found.push_back(std::move(*node));
    if (auto node = node_at(root, root.sys("class/misc/vfio")))
        found.push_back(std::move(*node));
}

DeviceReport report(const vfio::HostRoot& root, const std::string& address) {
    DeviceReport told;
    told.driver = driver_of(root, address);
    for (auto& node : nodes_of(root, address))
        told.nodes.push_back(std::move(node.name));
    return told;
}

} // namespace

std::vector<DeviceNode> nodes_of(const vfio::HostRoot& root, const std::string& address) {
    std::vector<DeviceNode> found;
    std::error_code ec;
    const auto real = fs::canonical(function(root, address), ec);
    if (!ec)
        collect(root, real, 0, found);
    if (driver_of(root, address) == "vfio-pci")
        collect_vfio(root, address, found);
    std::ranges::sort(found, {}, &DeviceNode::name);
    return found;
}

bool give_to_vfio(const vfio::HostRoot& root, const std::string& address) {
    if (driver_of(root, address) == "vfio-pci")
        return true;
    std::error_code ec;
    if (!fs::exists(root.sys("bus/pci/drivers/vfio-pci"), ec))
        throw SystemError("the guest's kernel has no vfio-pci", ENODEV);
    const auto unsafe = root.sys("module/vfio/parameters/enable_unsafe_noiommu_mode");
    if (!fs::exists(unsafe, ec))
        throw SystemError("the guest's kernel has no VFIO without an IOMMU (CONFIG_VFIO_NOIOMMU)",
                          ENODEV);
    put(unsafe, "1", "can't switch VFIO's no-IOMMU mode on");
    // First, so that no other driver takes it once the present one has let go.
    put(function(root, address) / "driver_override", "vfio-pci", "can't override the driver");
    if (!driver_of(root, address).empty())
        put(function(root, address) / "driver/unbind", address, "can't take it from its driver");
    put(root.sys("bus/pci/drivers_probe"), address, "can't have it probed");
    return driver_of(root, address) == "vfio-pci";
}

std::optional<std::string> modalias_of(const vfio::HostRoot& root, const std::string& address) {
    return vfio::attribute(function(root, address) / "modalias");
}

std::optional<DeviceReport> report_as_is(const vfio::HostRoot& root, const std::string& address) {
    std::error_code ec;
    if (!fs::exists(function(root, address), ec))
        return std::nullopt;
    return report(root, address);
}

std::optional<DeviceReport> report_if_ready(const vfio::HostRoot& root,
                                            const std::string& address) {
    auto told = report_as_is(root, address);
    if (!told || told->driver.empty())
        return std::nullopt;
    if (is_display(root, address) && told->driver != "vfio-pci" &&
        std::ranges::none_of(told->nodes, [](const auto& n) { return n.starts_with("dri/"); }))
        return std::nullopt;
    return told;
}

} // namespace kata_vfio::agent
