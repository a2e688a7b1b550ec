// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/agent/guest/device.hpp"

#include "config/base/text.hpp"
#include "vfio/pci_address.hpp"
#include "vfio/sysfs_read.hpp"

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

bool is_display(const vfio::HostRoot& root, const std::string& address) {
    const auto code = vfio::number_attribute(function(root, address) / "class", 16);
    return code && (*code >> 16) == 0x03;
}

DeviceReport report(const vfio::HostRoot& root, const std::string& address) {
    DeviceReport told;
    told.driver = vfio::link_name(function(root, address) / "driver").value_or("");
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
    std::ranges::sort(found, {}, &DeviceNode::name);
    return found;
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
    if (is_display(root, address) &&
        std::ranges::none_of(told->nodes, [](const auto& n) { return n.starts_with("dri/"); }))
        return std::nullopt;
    return told;
}

} // namespace kata_vfio::agent
