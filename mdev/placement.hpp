// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"
#include "config/vgpu_size.hpp"
#include "mdev/mdev_type.hpp"

#include <iosfwd>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

/// On which parent, and of which type, a vGPU is made. A decision about what was read, nothing
/// else: no file is opened here.
namespace kata_vfio::mdev {

/// What a vGPU must have at least; 0 and nullopt ask for nothing.
struct VgpuMinimum {
    std::uint64_t low_gm_mb = 0;
    std::uint64_t high_gm_mb = 0;
    unsigned fence = 0;
    std::optional<config::Resolution> resolution;
    unsigned weight = 0;

    bool empty() const {
        return low_gm_mb == 0 && high_gm_mb == 0 && fence == 0 && !resolution && weight == 0;
    }
    bool operator==(const VgpuMinimum&) const = default;
};

/// What of `minimum` a type of these resources lacks: "low_gm 64MB of 128MB"; "" when nothing.
std::string lacks(const VgpuMinimum& minimum, const GvtResources& resources);

struct VgpuWish {
    std::optional<std::string> type;   ///< nullopt: any that has the minimum
    std::optional<std::string> parent; ///< nullopt: any that is allowed
    VgpuMinimum minimum;
};

struct PlacementPolicy {
    enum class Order {
        pack,   ///< the parent with the least left that has room: whole GPUs stay free
        spread, ///< the parent with the most left
    };
    Order order = Order::pack;
    std::span<const std::string> allowed_types;   ///< glob patterns
    std::span<const std::string> allowed_parents; ///< glob patterns
    /// NUMA nodes that the guest's memory may lie on; empty: not known, or all the same.
    std::set<int> near;
    /// Parents that had room by their files and refused all the same.
    std::set<std::string> refused;
};

struct Placement {
    std::string parent, type;

    bool operator==(const Placement&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Placement& placement);

/// The place, or why there is none.
///
/// Of the types that are allowed, asked for, have the minimum and an instance left: first the
/// smallest (low_gm, then high_gm, weight, fence, resolution; one whose resources are not told
/// counts as smallest), since what it takes too much of its parent's pool others lack; then a
/// parent that is near; then by `order`, with the instances of that type that are left as the
/// measure; then by name.
///
/// Throws Failure, whose text has a line's worth for each parent, what it lacks:
///   not_allowed     what would fit is outside the allow-lists
///   no_instances    what fits is there and allowed, and nothing of it is left
///   type_not_found  no type has the minimum
/// and for an empty `parents` parent_not_found. That the type, or the parent, exists at all is
/// find_type()'s to say.
Placement place(const std::vector<MdevParent>& parents, const VgpuWish& wish,
                const PlacementPolicy& policy);

} // namespace kata_vfio::mdev
