// SPDX-License-Identifier: Apache-2.0
#include "vfio/vfio_node.hpp"

#include "config/base/failure.hpp"
#include "config/base/text.hpp"
#include "vfio/iommu_group.hpp"
#include "vfio/pci_function.hpp"
#include "vfio/resolve_link.hpp"
#include "vfio/sysfs_read.hpp"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <climits>
#include <ostream>

namespace kata_vfio::vfio {
namespace fs = std::filesystem;
namespace {

bool digits(std::string_view text) {
    return !text.empty() && text.size() <= 9 &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// The group nodes there are, for people; "" when there are none.
std::string nodes_there(const HostRoot& root) {
    std::vector<std::string> nodes;
    for (const auto& name : names_in(root.dev("vfio")))
        if (digits(name))
            nodes.push_back("/dev/vfio/" + name);
    return nodes.empty() ? "" : "there are " + join_words(nodes);
}

void number_node(const HostRoot& root, const fs::path& class_dir, VfioNode& node) {
    const auto text = attribute(class_dir / "dev").value_or("");
    const auto pieces = split(text, ':');
    if (pieces.size() == 2 && digits(pieces[0]) && digits(pieces[1])) {
        node.major = static_cast<unsigned>(number(pieces[0]).value_or(0));
        node.minor = static_cast<unsigned>(number(pieces[1]).value_or(0));
    }
    struct stat st {};
    const auto path = root.root() / node.path.relative_path();
    if (::stat(path.c_str(), &st) != 0)
        throw host_failure(errno, "can't look at " + node.path.string());
    // In an injected root the nodes are plain files; on a host only the device itself will do.
    if (!S_ISCHR(st.st_mode) && root.is_real())
        throw Failure(Errc::not_a_vfio_node, node.path.string() + " is not a character device")
            .remedy("it was not made by the kernel: remove it and let udev make the node again");
    if (S_ISCHR(st.st_mode) && node.major &&
        (major(st.st_rdev) != *node.major || minor(st.st_rdev) != *node.minor))
        throw Failure(Errc::not_a_vfio_node, node.path.string() + " is device " +
                                                 std::to_string(major(st.st_rdev)) + ":" +
                                                 std::to_string(minor(st.st_rdev)) +
                                                 ", but the kernel's VFIO node is " + text)
            .remedy("it was not made by the kernel: remove it and let udev make the node again");
}

void add_member(NodeTarget& target, const GroupMember& member) {
    if (member.pci)
        target.functions.push_back(*member.pci);
    else if (member.is_mdev)
        target.mdevs.push_back(member.name);
}

/// Why a group that exists has no node.
Failure no_node(const HostRoot& root, const std::string& told, const IommuGroup& group) {
    Failure failure(Errc::device_not_found, told + " does not exist");
    std::vector<std::string> states, commands;
    for (const auto& member : group.members)
        if (member.pci) {
            const auto driver = current_driver(root, *member.pci);
            states.push_back(member.name + (driver ? " is on " + *driver : " has no driver"));
            commands.push_back("kata-vfio bind " + member.name);
        }
    if (states.empty())
        return failure.remedy("IOMMU group " + std::to_string(group.number) +
                              " exists but has no node: is vfio loaded? modprobe vfio-pci");
    failure.blocked_by("no function of IOMMU group " + std::to_string(group.number) +
                       " is on vfio-pci: " + join_words(states));
    return failure.remedy(join_words(commands, "; "));
}

NodeTarget group_target(const HostRoot& root, const std::string& told, const std::string& name) {
    const int n = static_cast<int>(number(name).value_or(0));
    const bool node = fs::exists(root.dev("vfio") / name);
    const bool group_there = fs::exists(root.sys("kernel/iommu_groups") / name);
    if (!group_there) {
        Failure failure(node ? Errc::not_a_vfio_node : Errc::device_not_found,
                        node ? told + " belongs to no IOMMU group of this host"
                             : told + " does not exist, and there is no IOMMU group " + name);
        const auto there = nodes_there(root);
        throw failure.remedy(there.empty() ? "bind a function to vfio-pci first (kata-vfio bind), "
                                             "or create a vGPU (kata-vfio create)"
                                           : there);
    }
    const auto group = read_group(root, n);
    if (!node)
        throw no_node(root, told, group);
    NodeTarget target;
    target.node.path = fs::path("/dev/vfio") / name;
    target.node.group = n;
    target.group = n;
    number_node(root, root.sys("class/vfio") / name, target.node);
    for (const auto& member : group.members)
        add_member(target, member);
    if (target.functions.empty() && target.mdevs.empty())
        throw Failure(Errc::device_not_found,
                      told + ": IOMMU group " + name + " has no PCI function or mediated device");
    return target;
}

NodeTarget cdev_target(const HostRoot& root, const std::string& told, const std::string& name) {
    const auto class_dir = root.sys("class/vfio-dev") / name;
    const auto device = resolve_inside(root, root.told(class_dir / "device"));
    if (!fs::exists(root.dev("vfio/devices") / name))
        throw Failure(Errc::device_not_found, told + " does not exist")
            .remedy(
                names_in(root.dev("vfio/devices")).empty()
                    ? "this kernel has no VFIO device nodes (CONFIG_VFIO_DEVICE_CDEV, 6.6): use "
                      "/dev/vfio/N"
                    : "there are " + join_words(names_in(root.dev("vfio/devices"))) +
                          " in /dev/vfio/devices");
    if (!fs::exists(root.root() / device.relative_path()) || !fs::exists(class_dir))
        throw Failure(Errc::not_a_vfio_node, told + " has no device in /sys/class/vfio-dev")
            .remedy("it was not made by the kernel: remove it and let udev make the node again");
    NodeTarget target;
    target.node.kind = NodeKind::cdev;
    target.node.path = fs::path("/dev/vfio/devices") / name;
    target.node.cdev = name;
    number_node(root, class_dir, target.node);
    target.group = group_link(root.root() / device.relative_path());
    GroupMember member;
    member.name = device.filename().string();
    member.pci = PciAddress::parse(member.name);
    member.is_mdev = !member.pci;
    add_member(target, member);
    return target;
}

} // namespace

std::ostream& operator<<(std::ostream& out, NodeKind kind) {
    return out << (kind == NodeKind::group ? "group" : "cdev");
}

fs::path group_node(const HostRoot& root, int group) {
    return root.dev("vfio/" + std::to_string(group));
}

bool has_iommufd(const HostRoot& root) {
    std::error_code none;
    return fs::exists(root.dev("iommu"), none);
}

std::optional<fs::path> cdev_node(const HostRoot& root, const fs::path& sysfs) {
    for (const auto& cdev : names_in(root.root() / sysfs.relative_path() / "vfio-dev")) {
        std::error_code none;
        if (const auto node = root.dev("vfio/devices") / cdev; fs::exists(node, none))
            return root.told(node);
    }
    return std::nullopt;
}

bool makes_cdevs(const HostRoot& root) {
    const auto devices = attribute(root.proc("devices")).value_or("");
    const auto lines = split(devices, '\n');
    return std::any_of(lines.begin(), lines.end(),
                       [](std::string_view line) { return trim(line).ends_with(" vfio-dev"); });
}

NodeTarget resolve_node(const HostRoot& root, std::string_view path) {
    if (!path.starts_with('/') || path.find('\0') != path.npos)
        throw Failure(Errc::malformed_device, kata_vfio::quoted(path) + " is not an absolute path")
            .remedy("name the node as ls -l /dev/vfio shows it, e.g. /dev/vfio/12");
    const auto resolved = resolve_inside(root, fs::path(path)).string();
    // What the caller wrote comes first in every text; where it led, when that is another name.
    auto told = kata_vfio::quoted(path);
    told = told.substr(1, told.size() - 2);
    if (resolved != path)
        told += " (" + resolved + ")";

    if (resolved == "/dev/vfio/vfio")
        throw Failure(Errc::not_a_vfio_node,
                      told + " is the VFIO container node, not that of a device")
            .remedy("pass the group's node, /dev/vfio/N" +
                    (nodes_there(root).empty() ? std::string() : ": " + nodes_there(root)));
    constexpr std::string_view groups = "/dev/vfio/", cdevs = "/dev/vfio/devices/";
    if (resolved.starts_with(cdevs)) {
        const auto name = resolved.substr(cdevs.size());
        if (name.starts_with("vfio") && digits(std::string_view(name).substr(4)))
            return cdev_target(root, told, name);
    } else if (resolved.starts_with(groups)) {
        const auto name = resolved.substr(groups.size());
        if (digits(name))
            return group_target(root, told, name);
        if (name.starts_with("noiommu-"))
            throw Failure(Errc::not_a_vfio_node,
                          told + " is a group without IOMMU protection (noiommu)")
                .remedy("boot with intel_iommu=on; a guest with such a device could write all of "
                        "the host's memory");
    }
    std::error_code ec;
    const auto status = fs::status(root.root() / fs::path(resolved).relative_path(), ec);
    if (status.type() == fs::file_type::not_found) {
        Failure failure(Errc::device_not_found, told + " does not exist");
        if (const auto there = nodes_there(root); !there.empty())
            failure.remedy(there);
        throw failure;
    }
    if (status.type() == fs::file_type::directory)
        throw Failure(Errc::not_a_vfio_node, told + " is a directory")
            .remedy(nodes_there(root).empty() ? "name one node, /dev/vfio/N" : nodes_there(root));
    throw Failure(Errc::not_a_vfio_node, told + " is not a VFIO node")
        .remedy("VFIO nodes are /dev/vfio/N and /dev/vfio/devices/vfioN" +
                (nodes_there(root).empty() ? std::string() : "; " + nodes_there(root)));
}

NodeTarget resolve_devnum(const HostRoot& root, unsigned major, unsigned minor) {
    const auto numbers = std::to_string(major) + ":" + std::to_string(minor);
    const auto uevent = attribute(root.sys("dev/char") / numbers / "uevent");
    if (!uevent)
        throw Failure(Errc::device_not_found, "no character device " + numbers + " on this host")
            .remedy("VFIO's numbers change from boot to boot: look at ls -l /dev/vfio");
    for (const auto line : split(*uevent, '\n')) {
        constexpr std::string_view key = "DEVNAME=";
        if (!line.starts_with(key))
            continue;
        const auto path = "/dev/" + std::string(trim(line.substr(key.size())));
        try {
            return resolve_node(root, path);
        } catch (Failure& failure) {
            throw failure.during("character device " + numbers);
        }
    }
    throw Failure(Errc::not_a_vfio_node, "character device " + numbers + " has no name in sysfs")
        .remedy("name the node by its path, /dev/vfio/N");
}

} // namespace kata_vfio::vfio
