// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vfio/host_root.hpp"
#include "vfio/pci_address.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::mdev {

/// What a GVT-g vGPU type is given of the GPU, from the five lines of `description`.
/// Source: kernel drivers/gpu/drm/i915/gvt/kvmgt.c intel_vgpu_show_description().
struct GvtResources {
    std::uint64_t low_gm_mb = 0;  ///< mappable ("low") graphics memory, MB
    std::uint64_t high_gm_mb = 0; ///< other ("high") graphics memory, MB
    unsigned fence = 0;           ///< fence registers
    std::string resolution;       ///< e.g. "1920x1200"
    unsigned weight = 0;          ///< share of GPU time against other vGPUs; 1-16

    bool operator==(const GvtResources&) const = default;
};

/// Order, white space, line ends and unknown lines don't matter; none unless all five are there
/// once and well formed, as with other drivers' free text.
std::optional<GvtResources> parse_description(std::string_view description);

/// A kind of mediated device a parent offers.
/// Source: kernel Documentation/ABI/testing/sysfs-bus-vfio-mdev.
struct MdevType {
    std::string id; ///< directory name, e.g. "i915-GVTg_V4_8", "mtty-1"
    /// i915 has no `name` file before kernel 6.1; others' may contain spaces ("Single port
    /// serial").
    std::optional<std::string> name;
    std::string description; ///< as the driver has it; "" when there is no such file
    std::optional<GvtResources> gvt;
    std::string device_api; ///< "vfio-pci", "vfio-ccw", "vfio-ap"; "" when unreadable
    /// At the moment of reading. The types of one parent may share one pool: it can fall by a
    /// creation of another type, so only create() itself tells. 0 when unreadable.
    unsigned available_instances = 0;
};

/// A device that makes mediated devices, e.g. a GPU with GVT-g.
struct MdevParent {
    std::string name; ///< in /sys/class/mdev_bus: a BDF, or "mtty", "mbochs"
    std::optional<vfio::PciAddress> address;
    std::filesystem::path path;  ///< below the injected root, links resolved
    std::vector<MdevType> types; ///< by id
    int numa_node = -1;
};

/// By name; empty when there are none (no GVT-g, kvmgt not loaded). [any-thread], as all here.
std::vector<MdevParent> list_parents(const vfio::HostRoot& root);

/// Throws Failure: parent_not_found (with the nearest, or what a host without parents lacks).
MdevParent read_parent(const vfio::HostRoot& root, std::string_view name);

/// The directory of a parent below the root, by its name in /sys/class/mdev_bus (a link there, not
/// resolved); throws as read_parent().
std::filesystem::path parent_path(const vfio::HostRoot& root, std::string_view name);

/// -1: the host does not say.
int numa_node(const vfio::HostRoot& root, std::string_view parent);

/// The directory of a type at that parent; throws as read_type().
std::filesystem::path type_path(const vfio::HostRoot& root, std::string_view parent,
                                std::string_view type);

/// Throws Failure: parent_not_found, type_not_found as find_type().
MdevType read_type(const vfio::HostRoot& root, std::string_view parent, std::string_view type);

struct TypeOffer {
    std::string parent;
    unsigned available_instances = 0; ///< as MdevType has it
};

/// The parents that offer `type`, by name, full ones too; at least one. With `parent` only that
/// one.
///
/// Throws Failure: type_not_found: unknown (what there is, and the nearest); a name instead of an
/// id (the id to use); not a single path component; offered by other parents than the one asked for
/// (which). parent_not_found for an unknown `parent`.
std::vector<TypeOffer> find_type(const vfio::HostRoot& root, std::string_view type,
                                 std::optional<std::string_view> parent = std::nullopt);

} // namespace kata_vfio::mdev
