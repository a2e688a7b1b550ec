// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/plugin/context.hpp"
#include "runtime-plugin/plugin/host_picture.hpp"
#include "runtime-plugin/plugin/reconcile_report.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

/// The looking part of reconcile: on a thread of the pool, and nothing but claims of the dead and
/// files that can't be trusted is touched.
namespace kata_vfio::plugin {

/// Every mediated device of the host.
KnownMdevs list_mdevs(const Context& context);

/// The states that were read in the course of one reconcile. Reading and parsing thousands of them
/// is most of its cost, and state.json is only ever replaced whole: the same file has the same
/// state.
class SeenStates {
  public:
    /// What names a file's content: nullopt where there is none.
    struct Version {
        std::uint64_t inode = 0;
        std::int64_t changed = 0; ///< ns; an inode may be used again
        bool operator==(const Version&) const = default;
    };
    static std::optional<Version> version(const std::filesystem::path& sandbox_directory);

    /// `version` as it was before the state was read.
    void put(const std::string& id, const Version& version, const SandboxState& state) {
        states_.insert_or_assign(id, std::pair(version, state));
    }
    /// The state that the sandbox's file has at this moment; nullptr: it has to be read.
    const SandboxState* find(const std::string& id,
                             const std::filesystem::path& sandbox_directory) const;

  private:
    std::map<std::string, std::pair<Version, SandboxState>> states_;
};

/// What there is to be done for each of these sandboxes, found without its lock and without its
/// QEMU's monitor. Exact for one that is settled; for the others Sandbox::reconcile() looks again.
/// `mdevs`: those of the host, where they were listed before (list_mdevs(): the cheaper way for
/// many sandboxes, the dearer for one).
std::vector<SandboxFinding> survey_sandboxes(const Context& context,
                                             const std::vector<std::string>& ids,
                                             const KnownMdevs* mdevs, SeenStates& seen);

/// Puts directories aside that no sandbox of ours can have (a name that is no id, a link), so that
/// they are in nobody's way. In a dry run it only tells.
std::vector<Quarantined> survey_strangers(const Context& context, bool dry_run);

/// Drops claims whose sandbox and process are both gone, and torn ones; puts aside those that can't
/// be read. In a dry run it only tells. `quarantined` gets what was, or would be, put aside.
std::vector<ClaimFinding> survey_claims(const Context& context, bool dry_run,
                                        std::vector<Quarantined>& quarantined);

/// Every mediated device, every function on VFIO, and what sandboxes have lost.
std::vector<DeviceFinding> survey_devices(const Context& context, const SeenStates& seen,
                                          const KnownMdevs& mdevs);

} // namespace kata_vfio::plugin
