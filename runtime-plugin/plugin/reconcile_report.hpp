// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"
#include "runtime-plugin/plugin/quarantine.hpp"
#include "runtime-plugin/plugin/recovery.hpp"

#include <boost/json/object.hpp>

#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::plugin {

/// What reconcile makes of one sandbox.
enum class Verdict {
    kept,        ///< its QEMU runs: adopted as it is
    recovered,   ///< its QEMU runs, and what was left half done is undone or brought to its end
    given_back,  ///< its QEMU is gone: all it had is given back, and it is forgotten
    pending,     ///< something of it is still held, or can't be told: it stays on record
    busy,        ///< another process is at work on it at this moment
    quarantined, ///< its record can't be trusted, and was moved out of the way
    failed,      ///< see the failure; it stays on record
};
std::string_view name(Verdict verdict) noexcept;
std::ostream& operator<<(std::ostream& out, Verdict verdict);

struct SandboxFinding {
    std::string id;
    Verdict verdict = Verdict::kept;
    std::string why;
    std::vector<Action> actions; ///< done; in a dry run, that would be
    std::optional<Failure> failure;
    std::optional<PendingOn> holder; ///< for pending
    std::vector<Quarantined> quarantined;
};

/// One device that a sandbox has or had, or that somebody else has on VFIO.
struct DeviceFinding {
    enum class Owner { ours, foreign, by_hand };
    enum class State { idle, in_use, pending, lost };

    bool mdev = false;
    std::string name;   ///< UUID or BDF
    std::string parent; ///< mdev only
    std::string type;   ///< mdev only
    std::string driver; ///< function only
    Owner owner = Owner::foreign;
    State state = State::idle;
    std::string sandbox; ///< "" for a foreign one
    std::optional<PendingOn> holder;
    std::string why; ///< of what is pending or lost; else ""
};
std::string_view name(DeviceFinding::Owner owner) noexcept;
std::string_view name(DeviceFinding::State state) noexcept;

/// A claim that does not simply belong to a sandbox that is kept.
struct ClaimFinding {
    std::string claim;
    std::string sandbox;
    std::string verdict; ///< "dropped", "living", "torn"
    std::string why;
};

struct ReconcileReport {
    bool dry_run = false;
    std::vector<SandboxFinding> sandboxes;
    std::vector<DeviceFinding> devices;
    std::vector<ClaimFinding> claims;
    std::vector<Quarantined> quarantined; ///< what is of no sandbox
};

/// docs/json.md, "reconcile".
boost::json::object to_json(const ReconcileReport& report);

} // namespace kata_vfio::plugin
