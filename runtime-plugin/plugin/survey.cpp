// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/survey.hpp"

#include "config/base/failure.hpp"
#include "config/base/file.hpp"
#include "mdev/mdev_device.hpp"
#include "runtime-plugin/plugin/crash_point.hpp"
#include "runtime-plugin/plugin/distrust.hpp"
#include "runtime-plugin/plugin/host_picture.hpp"
#include "runtime-plugin/plugin/record.hpp"
#include "runtime-plugin/plugin/sandbox_id.hpp"
#include "vfio/sysfs_read.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <set>

namespace kata_vfio::plugin {
namespace fs = std::filesystem;
namespace {

using Do = Action::Kind;

/// What the actions of a plan come to, without their being carried out.
Verdict foreseen(const std::vector<Action>& plan) {
    const auto has = [&](Do kind) {
        return std::any_of(plan.begin(), plan.end(),
                           [&](const auto& action) { return action.kind == kind; });
    };
    if (has(Do::blocked))
        return Verdict::pending;
    if (has(Do::quarantine))
        return Verdict::quarantined;
    if (has(Do::remove_sandbox))
        return Verdict::given_back;
    return settled(plan) ? Verdict::kept : Verdict::recovered;
}

SandboxFinding survey(const Context& context, const std::string& id, const KnownMdevs* mdevs,
                      SeenStates& seen) {
    SandboxFinding finding;
    finding.id = id;
    const auto directory = context.state.sandbox(id);
    const auto version = SeenStates::version(directory);
    const auto record = read_record(directory, id);
    if (version && record.state)
        seen.put(id, *version, *record.state);
    for (const auto& damage : {record.bad_state, record.bad_journal})
        if (damage)
            finding.actions.push_back({Do::quarantine, damage->file.string(), damage->why});
    if (!record.state) {
        if (finding.actions.empty())
            finding.actions.push_back(
                {Do::remove_sandbox, id, "it has no state: it was being opened or removed"});
    } else {
        auto qemu = look_at_qemu(context.root, *record.state);
        if (qemu.orphaned) // what it comes to if its monitor answers, which is not asked here
            qemu.monitor = true;
        const auto host =
            look_at_host(context.root, context.claims, record.journal, *record.state, false, mdevs);
        const auto plan = plan_sandbox(record.journal, *record.state, host, qemu);
        finding.actions.insert(finding.actions.end(), plan.begin(), plan.end());
        finding.why = qemu.why;
        for (const auto& attachment : record.state->attachments)
            if (attachment.pending)
                finding.holder = attachment.pending;
    }
    finding.verdict = foreseen(finding.actions);
    if (finding.verdict != Verdict::kept && finding.why.empty())
        finding.why = finding.actions.front().why;
    if (finding.verdict != Verdict::kept && context.state.sandbox_locked(id)) {
        finding.verdict = Verdict::busy;
        finding.why = "another process is changing it";
    }
    return finding;
}

} // namespace

KnownMdevs list_mdevs(const Context& context) {
    KnownMdevs known;
    for (auto& device : mdev::list_devices(context.root)) {
        const auto uuid = device.uuid.text();
        known.emplace(uuid, std::move(device));
    }
    return known;
}

std::optional<SeenStates::Version> SeenStates::version(const fs::path& sandbox_directory) {
    struct stat st {};
    if (::lstat((sandbox_directory / "state.json").c_str(), &st) != 0)
        return std::nullopt;
    return Version{st.st_ino, st.st_ctim.tv_sec * std::int64_t{1'000'000'000} + st.st_ctim.tv_nsec};
}

const SandboxState* SeenStates::find(const std::string& id,
                                     const fs::path& sandbox_directory) const {
    const auto found = states_.find(id);
    return found != states_.end() && version(sandbox_directory) == found->second.first
               ? &found->second.second
               : nullptr;
}

std::vector<SandboxFinding> survey_sandboxes(const Context& context,
                                             const std::vector<std::string>& ids,
                                             const KnownMdevs* mdevs, SeenStates& seen) {
    std::vector<SandboxFinding> findings;
    findings.reserve(ids.size());
    for (const auto& id : ids) {
        try {
            findings.push_back(survey(context, id, mdevs, seen));
        } catch (const Failure& failure) {
            SandboxFinding finding;
            finding.id = id;
            finding.verdict = Verdict::failed;
            finding.why = failure.problem();
            finding.failure = failure;
            findings.push_back(std::move(finding));
        }
    }
    return findings;
}

std::vector<Quarantined> survey_strangers(const Context& context, bool dry_run) {
    std::vector<Quarantined> found;
    for (const auto& name : vfio::names_in(context.state.path() / "sandboxes")) {
        if (name.starts_with('.'))
            continue; // of a removal under way
        const auto path = context.state.sandbox(name);
        auto why = distrust(path, true);
        if (why.empty())
            try {
                require_sandbox_id(name);
                continue;
            } catch (const Failure& failure) {
                why = failure.problem();
            }
        found.push_back(dry_run ? Quarantined{path, {}, why}
                                : quarantine(context.state, path, why));
    }
    return found;
}

std::vector<ClaimFinding> survey_claims(const Context& context, bool dry_run,
                                        std::vector<Quarantined>& quarantined) {
    std::vector<ClaimFinding> findings;
    const auto ids = context.state.sandbox_ids();
    const std::set<std::string> sandboxes(ids.begin(), ids.end());
    for (const auto& name : context.claims.names()) {
        const auto path = context.claims.file(name);
        try {
            if (auto why = distrust(path); !why.empty())
                throw Failure(Errc::state_corrupt, why);
            const auto claim = context.claims.read(name);
            if (!claim) {
                if (!dry_run)
                    context.claims.drop(name, {});
                findings.push_back({name, {}, "torn", "its process was killed as it wrote it"});
                continue;
            }
            std::error_code ec;
            if (sandboxes.contains(claim->sandbox) ||
                fs::exists(context.state.sandbox(claim->sandbox), ec)) // opened since
                continue;
            const auto pid = "pid " + std::to_string(claim->pid);
            if (context.claims.life(*claim) == ClaimLife::living)
                findings.push_back(
                    {name, claim->sandbox, "living",
                     "nothing else is known of its sandbox, but its QEMU, " + pid + ", runs"});
            else if (dry_run || context.claims.drop_dead(name, *claim))
                findings.push_back({name, claim->sandbox, "dropped",
                                    "its sandbox is gone, and so is its QEMU" +
                                        (claim->pid ? ", " + pid : std::string())});
            crash_point(CrashPoint::reconcile_claim_dropped);
        } catch (const Failure& failure) {
            if (failure.code() != Errc::state_corrupt)
                throw;
            const auto why = failure.verbatim().empty()
                                 ? failure.problem()
                                 : failure.problem() + ": " + failure.verbatim();
            quarantined.push_back(dry_run ? Quarantined{path, {}, why}
                                          : quarantine(context.state, path, why));
        }
    }
    return findings;
}

} // namespace kata_vfio::plugin
