// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vfio/host_root.hpp"
#include "vfio/pci_address.hpp"

#include <filesystem>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::vfio {

enum class NodeKind {
    group, ///< /dev/vfio/N
    cdev,  ///< /dev/vfio/devices/vfioN (kernel 6.6 and on)
};
std::ostream& operator<<(std::ostream& out, NodeKind kind);

/// A VFIO character device. `path` is the host's own name for it, symbolic links resolved.
struct VfioNode {
    NodeKind kind = NodeKind::group;
    std::filesystem::path path;
    std::optional<int> group;        ///< N of /dev/vfio/N
    std::optional<std::string> cdev; ///< "vfio3" of /dev/vfio/devices/vfio3
    std::optional<unsigned> major;   ///< from sysfs `dev`; none when sysfs does not say
    std::optional<unsigned> minor;
};

/// What stands behind a node. At least one of the lists is not empty.
struct NodeTarget {
    VfioNode node;
    std::optional<int> group; ///< of a cdev too; none only for a device without IOMMU group
    std::vector<PciAddress> functions;
    std::vector<std::string> mdevs; ///< UUIDs
};

/// `path` is the host's name of the node ("/dev/vfio/12"), or of a symbolic link to it; links are
/// followed inside the injected root. Throws Failure: malformed_device (not absolute),
/// device_not_found (no such node: says what the group lacks, and which nodes there are),
/// not_a_vfio_node (the container node /dev/vfio/vfio, a directory, /dev/null, ...).
NodeTarget resolve_node(const HostRoot& root, std::string_view path);

/// As above for a node known by number only (OCI linux.devices), through /sys/dev/char/M:m/uevent.
NodeTarget resolve_devnum(const HostRoot& root, unsigned major, unsigned minor);

/// "/dev/vfio/N" below the injected root; whether it exists is another question.
std::filesystem::path group_node(const HostRoot& root, int group);

/// Whether the kernel offers iommufd: /dev/iommu is there (CONFIG_IOMMUFD, 6.2 and on).
bool has_iommufd(const HostRoot& root);

/// The device's own node, "/dev/vfio/devices/vfioN" as the host names it; `sysfs` is the device's
/// directory as the host names it. nullopt without CONFIG_VFIO_DEVICE_CDEV (6.6 and on), and while
/// no VFIO driver has the device.
std::optional<std::filesystem::path> cdev_node(const HostRoot& root,
                                               const std::filesystem::path& sysfs);

/// Whether this kernel gives VFIO devices nodes of their own: /proc/devices has their number.
bool makes_cdevs(const HostRoot& root);

} // namespace kata_vfio::vfio
