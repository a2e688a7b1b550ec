// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/plugin/sandbox_state.hpp"
#include "runtime-plugin/plugin/state_dir.hpp"

#include <optional>
#include <string>
#include <vector>

namespace kata_vfio::plugin {

/// One owner per function, mdev and IOMMU group, across processes: a file claims/NAME that holds
/// the owning sandbox's id. NAME is "function-BDF", "mdev-UUID" or "group-N"; a function is claimed
/// by its own name and its group's, so that no second name (node, cdev, BDF) leads past the claim.
///
/// A mediated device is alone in its group, so its own claim covers the node as well. Its group
/// must not be claimed: the kernel gives the number to the next vGPU, of whatever sandbox, as soon
/// as the device is gone, and that is before the claim can be dropped.
///
/// A claim of a sandbox that has no state directory any more is stale and is taken over.
class Claims {
  public:
    explicit Claims(const StateDir& directory) : directory_(directory) {}

    /// Takes all of `names` at one instant for everyone else, or none: throws
    /// Failure(device_in_use) naming the owner when another sandbox has one of them. Taking a claim
    /// the sandbox has already is allowed (two functions of one group).
    void take(const std::vector<std::string>& names, const std::string& sandbox) const;

    /// Drops the claim if it is the sandbox's; anything else is left alone.
    void drop(const std::string& name, const std::string& sandbox) const;

    /// The owner, if there is one that is not stale.
    std::optional<std::string> owner(const std::string& name) const;

  private:
    void write(const std::filesystem::path& path, const std::string& line) const;

    const StateDir& directory_;
};

/// What an attachment of that device claims.
std::vector<std::string> claims_of(const Attachment& attachment);
std::string function_claim(const std::string& bdf);
std::string mdev_claim(const std::string& uuid);
std::string group_claim(int group);

} // namespace kata_vfio::plugin
