// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/schema.hpp"
#include "runtime-plugin/plugin/claims.hpp"
#include "runtime-plugin/plugin/state_dir.hpp"
#include "vfio/deadline.hpp"
#include "vfio/host_root.hpp"
#include "vfio/sriov.hpp"

#include <optional>
#include <set>
#include <string>
#include <vector>

/// SR-IOV as a provider of virtual functions beside mdev: where GVT-g ends with Intel's 10th
/// generation, a GPU gives virtual functions. The same request form (sriov[@PARENT]) and the same
/// life: enabled for the first sandbox that wants one, a claim each, and taken away with the last.
namespace kata_vfio::plugin {

/// One virtual function that there is, or would be with all enabled.
struct VirtualFunction {
    vfio::PciAddress address;
    bool exists = false;
    bool claimed = false; ///< by a sandbox
    bool in_use = false;  ///< bound to a host driver, or its group open, and not ours to take
};

/// A physical function as the choice sees it.
struct VirtualFunctionParent {
    vfio::PciAddress address;
    int numa_node = -1;
    /// All that it has; all that it would have, when none is enabled.
    std::vector<VirtualFunction> functions;

    std::size_t left() const;
};

struct VirtualFunctionPlace {
    vfio::PciAddress parent, function;
    bool operator==(const VirtualFunctionPlace&) const = default;
};

/// The place, by the rules of mdev::place() (near, then pack or spread by what is left, then by
/// address), the lowest free function of it. Throws not_allowed, no_instances (with what each
/// parent lacks), parent_not_found. Pure.
VirtualFunctionPlace place_function(const std::vector<VirtualFunctionParent>& parents,
                                    const std::optional<std::string>& wanted,
                                    const config::Vfio& policy, const std::set<int>& near);

/// What there is to choose from. A function on a host driver is the host's, unless it was us who
/// enabled it (and the host's driver took it by itself). Blocks some ms.
std::vector<VirtualFunctionParent> look_at_parents(const vfio::HostRoot& root,
                                                   const StateDir& state, const Claims& claims,
                                                   const std::optional<std::string>& wanted);

/// Enables the parent's virtual functions (`count` of them, 0: all it can) unless some are there
/// already, with a record of it on disk before. Call it with the claim of one of them taken: that
/// keeps another process from taking them away.
void enable_functions(const vfio::HostRoot& root, const StateDir& state,
                      const vfio::PciAddress& parent, unsigned count, vfio::Deadline deadline);

/// Takes them away again if it was us who enabled them, no sandbox has a claim of one, and nobody
/// else has one open: the write would wait for that process, and take the function from under it.
/// Then they stay, with the record, for the next reconcile, and the answer says who has which.
/// Throws what set_virtual_functions() does.
std::optional<std::string> disable_unused_functions(const vfio::HostRoot& root,
                                                    const StateDir& state, const Claims& claims,
                                                    const std::string& parent,
                                                    vfio::Deadline deadline);

/// The parents whose functions we have enabled, by BDF.
std::vector<std::string> enabled_parents(const StateDir& state);

} // namespace kata_vfio::plugin
