// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/plugin/claims.hpp"
#include "runtime-plugin/plugin/journal.hpp"
#include "runtime-plugin/plugin/sandbox_state.hpp"
#include "vfio/driver_binding.hpp"

#include <iosfwd>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

/// What has to be done so that nothing is leaked, decided from what is known and nothing else: no
/// file is read and no process asked here. host_picture.cpp looks, sandbox_undo.cpp acts.
namespace kata_vfio::plugin {

/// The part of the host that a sandbox's record speaks of, at one moment.
struct HostPicture {
    struct Mdev {
        bool pending = false; ///< told to go; its directory at the parent waits for the last user
        std::optional<int> group;
    };
    struct Function {
        std::optional<std::string> driver;
        std::optional<int> group;
    };
    std::map<std::string, Mdev> mdevs;         ///< by UUID, those that exist
    std::map<std::string, Function> functions; ///< by BDF, those that exist
    std::map<std::string, Claim> claims;       ///< by name, those that exist and are whole
    std::set<std::string> unreadable_claims;
    /// Of the groups above, those that some process has open; filled in where QEMU's pid is not
    /// known.
    std::set<int> busy_groups;

    /// The sandbox that has the claim; "" when nobody has.
    std::string owner(const std::string& claim) const;
};

enum class QemuLife {
    running,
    gone, ///< its process has ended, so that the kernel has closed its VFIO descriptors
    unknown,
};
std::ostream& operator<<(std::ostream& out, QemuLife life);

struct QemuPicture {
    QemuLife life = QemuLife::unknown;
    bool monitor = false; ///< it answers, so devices can be unplugged
    std::string why;      ///< how that is known, for texts
    /// The process that the sandbox belongs to is gone, so the sandbox is over although QEMU runs.
    bool orphaned = false;
    /// The VFIO devices it has, by qdev id; nullopt: it was not asked.
    std::optional<std::set<std::string>> devices = std::nullopt;
};

/// One thing to be done, or deliberately not done, with its reason.
struct Action {
    enum class Kind {
        keep,           ///< an attachment in use by a QEMU that runs: adopted
        unplug,         ///< a device, by its qdev id
        remove_vgpu,    ///< by UUID
        restore_driver, ///< of a function: `record`
        take_claim,     ///< one that an attachment must have and that is lost
        drop_claim,
        forget,         ///< an attachment that has been given back, by its qdev id
        clear_journal,  ///< its operation is undone, or on record
        remove_sandbox, ///< the state directory
        quarantine,     ///< a file or directory that can't be trusted
        leave_alone,    ///< not ours (any more), for good
        blocked,        ///< ours, but can't be done now: the record stays for the next time
        lost,           ///< an attachment whose device is not on the host any more
        /// the virtual functions of a physical one, by its BDF, unless somebody has one of them
        disable_functions,
        let_go, ///< an attachment that QEMU has no more: its host's side goes back
        /// a group's node, by its path, to the user that had it: `lent`
        restore_owner,
        stray, ///< a VFIO device in QEMU, by its qdev id, that is not on record: told only
    };
    Kind kind = Kind::keep;
    std::string subject;
    std::string why;
    std::optional<vfio::BindRecord> record = std::nullopt;
    std::optional<LentNode> lent = std::nullopt;

    bool operator==(const Action&) const = default;
};
std::string_view name(Action::Kind kind) noexcept;
std::ostream& operator<<(std::ostream& out, const Action& action);

/// The journal's name for giving QEMU what was prepared before its guest was started: undone, the
/// attachments are there as before, prepared.
inline constexpr std::string_view plug_operation = "plug";

/// Undoes an attach that was not brought to its end: in reverse, and only what the journal intended
/// and the device's own claim still says is this sandbox's. A claim is taken before a device is
/// made or bound and dropped after it was given back, so a device without one has been given back
/// already, and what stands there now, under the same UUID or on the same driver, is another's.
///
/// Ends with clear_journal, unless something is blocked: then that is the last action.
std::vector<Action> plan_journal(const LeftJournal& journal, const SandboxState& state,
                                 const HostPicture& host, const QemuPicture& qemu);

/// The host's side of one attachment that QEMU has let go, its `forget` included.
std::vector<Action> plan_give_back(const Attachment& attachment, const SandboxState& state,
                                   const HostPicture& host);

/// All of a sandbox: its journal; then, of a QEMU that is gone or a sandbox that is orphaned, every
/// attachment and the sandbox itself; of one that runs, what it has let go already, and lost
/// claims. Of one that nobody can tell, nothing.
std::vector<Action> plan_sandbox(const std::optional<LeftJournal>& journal,
                                 const SandboxState& state, const HostPicture& host,
                                 const QemuPicture& qemu);

/// Nothing in it has to be done.
bool settled(const std::vector<Action>& actions);
bool blocked(const std::vector<Action>& actions);

/// Whether an attachment, other than the one of id `but`, has the claim: two functions of one group
/// share the group's.
bool claim_needed(const SandboxState& state, const std::string& claim, const std::string& but = {});

} // namespace kata_vfio::plugin
