// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/plugin/sandbox_state.hpp"
#include "runtime-plugin/plugin/state_dir.hpp"
#include "vfio/host_root.hpp"

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

namespace kata_vfio::plugin {

/// Whose a claim is: the sandbox, and the process that has the device while it runs, its QEMU.
///
/// The process that made the claim is not its owner: a command line exits, a shim is killed, and
/// the guest goes on using the device. pid and start are those of state.json (SandboxState), 0 when
/// they are not known there.
struct Claim {
    std::string sandbox;
    std::int64_t pid = 0;
    std::uint64_t start = 0;

    bool operator==(const Claim&) const = default;
};

enum class ClaimLife {
    living,     ///< its process runs: nobody's to take, whatever else is lost
    remembered, ///< its process is gone or not known, but the sandbox has a state directory: its
                ///< release, or reconcile, gives the device back before the claim goes
    stale,      ///< neither: free
};
std::ostream& operator<<(std::ostream& out, ClaimLife life);

/// One owner per function, mdev and IOMMU group, across processes: a file claims/NAME,
///
///     {"v": 1, "sandbox": "sb1", "pid": 4711, "start": 81723}
///
/// NAME is "function-BDF", "mdev-UUID" or "group-N"; a function is claimed by its own name and its
/// group's, so that no second name (node, cdev, BDF) leads past the claim.
///
/// A mediated device is alone in its group, so its own claim covers the node as well. Its group
/// must not be claimed: the kernel gives the number to the next vGPU, of whatever sandbox, as soon
/// as the device is gone, and that is before the claim can be dropped.
///
/// Only a stale claim is taken over. A dead owner's device is put back first, by what its state
/// says of it (reconcile): a claim taken from under that record would let two sandboxes work on one
/// device.
class Claims {
  public:
    Claims(const StateDir& directory, vfio::HostRoot root)
        : directory_(directory), root_(std::move(root)) {}

    /// Takes all of `names` at one instant for everyone else, or none: throws
    /// Failure(device_in_use) naming the owner when another sandbox has one of them,
    /// Failure(state_corrupt) when one can't be read. Taking a claim the sandbox has already is
    /// allowed (two functions of one group, a claim of an earlier QEMU of its own).
    void take(const std::vector<std::string>& names, const Claim& owner) const;

    /// Drops the claim if it is the sandbox's, or torn; anything else is left alone.
    void drop(const std::string& name, const std::string& sandbox) const;

    /// Drops the claim if it still is exactly that one and its process does not run: a sandbox
    /// opened anew under the id may have taken it in the meantime. True: it was dropped.
    bool drop_dead(const std::string& name, const Claim& claim) const;

    /// As the file has it; none when there is none, or one that was cut off in being written, which
    /// is nobody's. Throws Failure(state_corrupt) naming the file.
    std::optional<Claim> read(const std::string& name) const;

    /// The owning sandbox, if there is one that is not stale. Throws as read().
    std::optional<std::string> owner(const std::string& name) const;

    ClaimLife life(const Claim& claim) const;

    /// Names of the files, sorted.
    std::vector<std::string> names() const;

    std::string file(const std::string& name) const {
        return directory_.path().native() + "/claims/" + name;
    }

  private:
    std::optional<Claim> owning(const std::string& name) const;
    /// `how`: O_TRUNC, or O_EXCL; false: with that, there is one already.
    bool write(const std::string& name, const Claim& claim, int how) const;

    const StateDir& directory_;
    vfio::HostRoot root_;
};

/// A claim file's bytes; none when they are torn (no newline at the end, or nothing). A line that
/// is no JSON object but a bare sandbox id is the form before pids were kept. Throws
/// std::invalid_argument saying what is wrong with them.
std::optional<Claim> parse_claim(std::string_view bytes);
std::string claim_line(const Claim& claim);

/// Who a sandbox claims as: its id, and its QEMU.
Claim claim_of(const SandboxState& state);

/// What an attachment of that device claims; its own claim first, then the group's.
std::vector<std::string> claims_of(const Attachment& attachment);
/// The claim that stands for the device itself.
std::string own_claim(const Attachment& attachment);
std::string function_claim(const std::string& bdf);
std::string mdev_claim(const std::string& uuid);
std::string group_claim(int group);

} // namespace kata_vfio::plugin
