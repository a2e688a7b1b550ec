// SPDX-License-Identifier: Apache-2.0
#include "mdev/mdev_device.hpp"

#include "config/base/failure.hpp"
#include "config/base/text.hpp"
#include "vfio/iommu_group.hpp"
#include "vfio/pci_address.hpp"
#include "vfio/sysfs_read.hpp"
#include "vfio/vfio_node.hpp"

#include <algorithm>
#include <ostream>

namespace kata_vfio::mdev {
namespace fs = std::filesystem;
namespace {

std::optional<fs::path> node_of(const vfio::HostRoot& root, const std::string& dir,
                                std::optional<int> group) {
    if (group)
        if (const auto node = vfio::group_node(root, *group); fs::exists(node))
            return root.told(node);
    // A kernel without CONFIG_VFIO_GROUP has the device's own node only.
    for (const auto& cdev : vfio::names_in(dir + "/vfio-dev"))
        if (const auto node = root.dev("vfio/devices") / cdev; fs::exists(node))
            return root.told(node);
    return std::nullopt;
}

std::string on_bus(const Uuid& uuid) {
    return "bus/mdev/devices/" + uuid.text();
}

MdevDevice read_device(const vfio::HostRoot& root, const Uuid& uuid, std::string parent,
                       const std::string& dir) {
    MdevDevice device{.uuid = uuid,
                      .parent = std::move(parent),
                      .type = vfio::link_name(dir + "/mdev_type").value_or(""),
                      .iommu_group = vfio::group_link(dir),
                      .sysfs = "/sys/" + on_bus(uuid),
                      .node = std::nullopt,
                      .state = MdevDevice::State::present};
    device.node = node_of(root, dir, device.iommu_group);
    return device;
}

MdevDevice load(const vfio::HostRoot& root, const Uuid& uuid, const std::string& parent,
                const fs::path& dir) {
    auto device = read_device(root, uuid, parent, dir.native());
    // Of all names the kernel takes the one on the bus away first and the directory last. (While a
    // device is being made it has both, and only mdev_type is missing yet.)
    if (!fs::exists(fs::symlink_status(root.sys(on_bus(uuid)))))
        device.state = MdevDevice::State::pending_removal;
    return device;
}

/// As it is on the bus, whose link names its parent (.../PARENT/UUID): a look at each parent less.
/// None of one that is being made or removed, or is not there.
std::optional<MdevDevice> find_on_bus(const vfio::HostRoot& root, const Uuid& uuid) {
    const auto dir = root.text("sys", on_bus(uuid));
    const auto target = vfio::link_target(dir).value_or("");
    const auto parts = split(target, '/');
    if (parts.size() < 2)
        return std::nullopt;
    auto device = read_device(root, uuid, std::string(parts[parts.size() - 2]), dir);
    return device.type.empty() ? std::nullopt : std::optional(std::move(device));
}

std::optional<Uuid> as_uuid(const std::string& name) {
    if (!Uuid::looks_like(name))
        return std::nullopt;
    try {
        return Uuid::require(name);
    } catch (const Failure&) {
        return std::nullopt; // the nil UUID, made by hand: not one we could address
    }
}

} // namespace

std::ostream& operator<<(std::ostream& out, MdevDevice::State state) {
    return out << (state == MdevDevice::State::present ? "present" : "pending_removal");
}

std::vector<MdevDevice> list_devices(const vfio::HostRoot& root) {
    // By parents, not by the bus: only there are those pending removal to be seen.
    std::vector<MdevDevice> devices;
    for (const auto& parent : vfio::names_in(root.sys("class/mdev_bus"))) {
        const auto dir = root.sys("class/mdev_bus") / parent;
        for (const auto& name : vfio::names_in(dir))
            if (const auto uuid = as_uuid(name))
                devices.push_back(load(root, *uuid, parent, dir / name));
    }
    std::sort(devices.begin(), devices.end(),
              [](const auto& a, const auto& b) { return a.uuid.text() < b.uuid.text(); });
    return devices;
}

std::optional<MdevDevice> find_device(const vfio::HostRoot& root, const Uuid& uuid,
                                      std::string_view parent) {
    if (auto device = find_on_bus(root, uuid))
        return device;
    for (const auto& name : vfio::names_in(root.sys("class/mdev_bus"))) {
        const auto dir = root.sys("class/mdev_bus") / name / uuid.text();
        if (fs::exists(dir))
            return load(root, uuid, name, dir);
    }
    if (!vfio::PciAddress::parse(parent))
        return std::nullopt;
    const auto dir = root.sys("bus/pci/devices") / parent / uuid.text();
    if (!fs::exists(dir))
        return std::nullopt;
    return load(root, uuid, std::string(parent), dir);
}

MdevDevice require_device(const vfio::HostRoot& root, const Uuid& uuid) {
    if (auto device = find_device(root, uuid))
        return *std::move(device);
    std::vector<std::string> there;
    for (const auto& device : list_devices(root))
        there.push_back(device.uuid.text());
    const auto near = nearest(uuid.text(), there);
    throw Failure(Errc::device_not_found, "no mediated device " + uuid.text() + " on this host")
        .remedy(near.empty() ? std::string("kata-vfio vgpus lists them; kata-vfio create makes one")
                             : "did you mean " + near + "?");
}

fs::path parent_side(const vfio::HostRoot& root, const MdevDevice& device) {
    if (auto dir = root.sys("class/mdev_bus") / device.parent; fs::exists(dir))
        return dir / device.uuid.text();
    return root.sys("bus/pci/devices") / device.parent / device.uuid.text(); // being unbound
}

} // namespace kata_vfio::mdev
