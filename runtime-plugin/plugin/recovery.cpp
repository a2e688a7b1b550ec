// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/recovery.hpp"

#include <algorithm>
#include <ostream>

namespace kata_vfio::plugin {
namespace {

using Do = Action::Kind;

/// Whose a device is, by its own claim; "" when it is ours to give back, else why it is not.
std::string not_ours(const std::string& claim, const std::string& sandbox, const HostPicture& host,
                     std::string_view without_claim) {
    if (host.unreadable_claims.contains(claim))
        return "its claim can't be read, so whose it is can't be told";
    const auto owner = host.owner(claim);
    if (owner == sandbox)
        return {};
    if (!owner.empty())
        return "sandbox " + owner + " has claimed it since";
    return std::string(without_claim);
}

std::string node_text(const LentNode& node) {
    return "/dev/vfio/" + std::to_string(node.group);
}

/// Whether another attachment than `but` has it.
bool node_needed(const SandboxState& state, const LentNode& node, const std::string& but) {
    return std::ranges::any_of(state.attachments, [&](const auto& other) {
        return other.id != but && !other.unplugged && other.lent == node;
    });
}

struct JournalPlanner {
    const SandboxState& state;
    const HostPicture& host;
    const QemuPicture& qemu;
    std::vector<Action>& actions;

    /// False: blocked, what is before it must stay.
    bool operator()(const PlugStep& step) const {
        if (qemu.life == QemuLife::gone)
            return true; // went with it
        if (qemu.life == QemuLife::running && qemu.monitor) {
            actions.push_back({Do::unplug, step.id, "its attach was not brought to its end"});
            return true;
        }
        actions.push_back({Do::blocked, step.id,
                           qemu.life == QemuLife::running
                               ? "QEMU may have it, and its monitor can't be asked: " + qemu.why
                               : "whether QEMU has it is not known: " + qemu.why});
        return false;
    }
    bool operator()(const CreateVgpuStep& step) const {
        const auto found = host.mdevs.find(step.uuid);
        if (found == host.mdevs.end())
            return true;
        if (const auto why = not_ours(mdev_claim(step.uuid), state.id, host, given_back);
            !why.empty())
            actions.push_back({Do::leave_alone, step.uuid, why});
        else
            actions.push_back({Do::remove_vgpu, step.uuid,
                               found->second.pending
                                   ? "its removal is under way"
                                   : "made for an attach that was not brought to its end"});
        return true;
    }
    bool operator()(const BindStep& step) const {
        const auto name = step.record.address.text();
        if (!host.functions.contains(name))
            return true; // taken out of the host
        if (const auto why = not_ours(function_claim(name), state.id, host, given_back);
            !why.empty())
            actions.push_back({Do::leave_alone, name, why});
        else
            actions.push_back({Do::restore_driver, name,
                               "bound for an attach that was not brought to its end", step.record});
        return true;
    }
    bool operator()(const ClaimStep& step) const {
        if (host.owner(step.claim) == state.id && !claim_needed(state, step.claim))
            actions.push_back({Do::drop_claim, step.claim, "no attachment of the sandbox's"});
        return true;
    }

    bool operator()(const ChownNodeStep& step) const {
        // Without the claim it was given back, and may be another sandbox's since.
        if (host.owner(step.claim) == state.id && !node_needed(state, step.node, ""))
            actions.push_back({Do::restore_owner, node_text(step.node),
                               "lent for an attach that was not brought to its end", std::nullopt,
                               step.node});
        return true;
    }
    bool operator()(const EnableFunctionsStep&) const { return true; } // see plan_journal()

    static constexpr std::string_view given_back =
        "its claim is gone, so it was given back; what is there now is not this sandbox's";
};

constexpr const char* going =
    "the kernel has been told to take it away, or unbinds its parent, and waits for its QEMU";

bool device_there(const Attachment& attachment, const HostPicture& host) {
    return attachment.kind == plugin::Kind::mdev ? host.mdevs.contains(attachment.uuid)
                                                 : host.functions.contains(attachment.host_address);
}

void plan_running(const Attachment& attachment, const SandboxState& state, const HostPicture& host,
                  std::vector<Action>& actions) {
    if (attachment.unplugged) {
        const auto given_back = plan_give_back(attachment, state, host);
        actions.insert(actions.end(), given_back.begin(), given_back.end());
        return;
    }
    if (!device_there(attachment, host)) {
        actions.push_back({Do::lost, attachment.id,
                           "its device is not on the host any more; detach takes it out of the "
                           "record"});
        return;
    }
    for (const auto& claim : claims_of(attachment)) {
        const auto owner = host.owner(claim);
        if (owner.empty())
            actions.push_back({Do::take_claim, claim,
                               "the claim of " + attachment.id + ", which is attached, is lost"});
        else if (owner != state.id)
            actions.push_back({Do::blocked, claim,
                               "sandbox " + owner + " has it as well as " + attachment.id +
                                   ", which is attached"});
    }
    const auto vgpu = host.mdevs.find(attachment.uuid);
    const auto* why = vgpu != host.mdevs.end() && vgpu->second.pending ? going
                      : attachment.prepared ? "it waits for its guest to be started"
                                            : "its QEMU runs";
    actions.push_back({Do::keep, attachment.id, why});
}

/// What QEMU says against the record.
void plan_differences(const std::optional<LeftJournal>& journal, const SandboxState& state,
                      const QemuPicture& qemu, const HostPicture& host,
                      std::vector<Action>& actions) {
    if (!qemu.devices)
        return;
    for (auto attachment : state.attachments) {
        if (!attachment.plugged() || qemu.devices->contains(attachment.id))
            continue;
        actions.push_back(
            {Do::let_go, attachment.id, "QEMU has it no more, and nobody here has detached it"});
        attachment.unplugged = true;
        const auto given_back = plan_give_back(attachment, state, host);
        actions.insert(actions.end(), given_back.begin(), given_back.end());
    }
    const auto being_plugged = [&](const std::string& id) { // the journal's to undo
        return journal &&
               std::any_of(journal->steps.begin(), journal->steps.end(), [&](const auto& step) {
                   const auto* plug = std::get_if<PlugStep>(&step);
                   return plug && plug->id == id;
               });
    };
    for (const auto& id : *qemu.devices)
        if (!being_plugged(id) &&
            std::none_of(state.attachments.begin(), state.attachments.end(),
                         [&](const auto& attachment) { return attachment.id == id; }))
            actions.push_back({Do::stray, id,
                               "QEMU has it, and it is not on record: another client of its "
                               "monitor has plugged it, or the record was lost; device_del takes "
                               "it out"});
}

void plan_running(const std::optional<LeftJournal>& journal, const SandboxState& state,
                  const HostPicture& host, const QemuPicture& qemu, std::vector<Action>& actions) {
    for (const auto& attachment : state.attachments)
        if (!qemu.devices || !attachment.plugged() || qemu.devices->contains(attachment.id))
            plan_running(attachment, state, host, actions);
    plan_differences(journal, state, qemu, host, actions);
}

void plan_orphaned(const SandboxState& state, const HostPicture& host, const QemuPicture& qemu,
                   std::vector<Action>& actions) {
    const auto owner = "its owner, pid " + std::to_string(state.owner_pid) + ", is gone";
    if (!qemu.monitor) {
        actions.push_back({Do::blocked, state.id,
                           owner + ", but QEMU can't be asked for its devices: " + qemu.why});
        return;
    }
    for (auto each = state.attachments.rbegin(); each != state.attachments.rend(); ++each) {
        auto attachment = *each;
        if (attachment.plugged())
            actions.push_back({Do::unplug, attachment.id, owner});
        attachment.unplugged = true;
        const auto given_back = plan_give_back(attachment, state, host);
        actions.insert(actions.end(), given_back.begin(), given_back.end());
    }
    actions.push_back({Do::remove_sandbox, state.id, owner});
}

} // namespace

std::string HostPicture::owner(const std::string& claim) const {
    const auto found = claims.find(claim);
    return found == claims.end() ? std::string() : found->second.sandbox;
}

std::ostream& operator<<(std::ostream& out, QemuLife life) {
    switch (life) {
    case QemuLife::running:
        return out << "running";
    case QemuLife::gone:
        return out << "gone";
    case QemuLife::unknown:
        return out << "unknown";
    }
    return out;
}

std::string_view name(Action::Kind kind) noexcept {
    switch (kind) {
    case Do::keep:
        return "keep";
    case Do::unplug:
        return "unplug";
    case Do::remove_vgpu:
        return "remove_vgpu";
    case Do::restore_driver:
        return "restore_driver";
    case Do::take_claim:
        return "take_claim";
    case Do::drop_claim:
        return "drop_claim";
    case Do::forget:
        return "forget";
    case Do::clear_journal:
        return "clear_journal";
    case Do::remove_sandbox:
        return "remove_sandbox";
    case Do::quarantine:
        return "quarantine";
    case Do::leave_alone:
        return "leave_alone";
    case Do::blocked:
        return "blocked";
    case Do::lost:
        return "lost";
    case Do::disable_functions:
        return "disable_functions";
    case Do::let_go:
        return "let_go";
    case Do::restore_owner:
        return "restore_owner";
    case Do::stray:
        return "stray";
    }
    return "unknown";
}

std::ostream& operator<<(std::ostream& out, const Action& action) {
    return out << name(action.kind) << ' ' << action.subject << ": " << action.why;
}

bool claim_needed(const SandboxState& state, const std::string& claim, const std::string& but) {
    return std::any_of(state.attachments.begin(), state.attachments.end(), [&](const auto& other) {
        const auto claims = claims_of(other);
        return other.id != but && std::find(claims.begin(), claims.end(), claim) != claims.end();
    });
}

std::vector<Action> plan_journal(const LeftJournal& journal, const SandboxState& state,
                                 const HostPicture& host, const QemuPicture& qemu) {
    std::vector<Action> actions;
    const auto recorded =
        std::find_if(state.attachments.begin(), state.attachments.end(), [&](const auto& each) {
            return std::find(journal.ids.begin(), journal.ids.end(), each.id) !=
                       journal.ids.end() &&
                   !(each.prepared && journal.operation == plug_operation);
        });
    if (recorded != state.attachments.end()) {
        actions.push_back({Do::clear_journal, state.id,
                           "its " + journal.operation + " of " + recorded->id + " is on record"});
        return actions;
    }
    const JournalPlanner planner{state, host, qemu, actions};
    for (auto step = journal.steps.rbegin(); step != journal.steps.rend(); ++step)
        if (!std::visit(planner, *step))
            return actions;
    // Behind the claims: while one of the virtual functions is claimed they all stay.
    for (const auto& step : journal.steps)
        if (const auto* enabled = std::get_if<EnableFunctionsStep>(&step))
            actions.push_back({Do::disable_functions, enabled->parent,
                               "enabled for an attach that was not brought to its end"});
    actions.push_back(
        {Do::clear_journal, state.id, "the unfinished " + journal.operation + " is undone"});
    return actions;
}

std::vector<Action> plan_give_back(const Attachment& attachment, const SandboxState& state,
                                   const HostPicture& host) {
    std::vector<Action> actions;
    const auto own = own_claim(attachment);
    // The claim goes before the record does, so this is what a kill between the two leaves. One
    // that QEMU has not let go yet can't have come that far: there the claim is lost, and the
    // record holds.
    const auto why =
        attachment.unplugged || !host.owner(own).empty() || host.unreadable_claims.contains(own)
            ? not_ours(own, state.id, host, JournalPlanner::given_back)
            : std::string();
    const auto& subject =
        attachment.kind == plugin::Kind::mdev ? attachment.uuid : attachment.host_address;
    if (attachment.lent && why.empty() && !node_needed(state, *attachment.lent, attachment.id))
        actions.push_back({Do::restore_owner, node_text(*attachment.lent),
                           "lent for " + attachment.id, std::nullopt, attachment.lent});
    if (attachment.owned() && device_there(attachment, host)) {
        if (!why.empty())
            actions.push_back({Do::leave_alone, subject, why});
        else if (attachment.made_vgpu)
            actions.push_back({Do::remove_vgpu, subject, "made for " + attachment.id});
        else if (attachment.bound)
            actions.push_back(
                {Do::restore_driver, subject, "bound for " + attachment.id, attachment.bound});
    }
    for (const auto& claim : claims_of(attachment))
        if (host.owner(claim) == state.id && !claim_needed(state, claim, attachment.id))
            actions.push_back({Do::drop_claim, claim, "of " + attachment.id});
    if (!attachment.vf_of.empty())
        actions.push_back({Do::disable_functions, attachment.vf_of,
                           "unless another sandbox has one of them, or they were not ours"});
    actions.push_back({Do::forget, attachment.id, "it is given back"});
    return actions;
}

std::vector<Action> plan_sandbox(const std::optional<LeftJournal>& journal,
                                 const SandboxState& state, const HostPicture& host,
                                 const QemuPicture& qemu) {
    std::vector<Action> actions;
    if (journal)
        actions = plan_journal(*journal, state, host, qemu);
    if (blocked(actions))
        return actions;
    switch (qemu.life) {
    case QemuLife::unknown:
        actions.push_back({Do::blocked, state.id, qemu.why});
        break;
    case QemuLife::running:
        if (qemu.orphaned)
            plan_orphaned(state, host, qemu, actions);
        else
            plan_running(journal, state, host, qemu, actions);
        break;
    case QemuLife::gone:
        for (auto each = state.attachments.rbegin(); each != state.attachments.rend(); ++each) {
            const auto given_back = plan_give_back(*each, state, host);
            actions.insert(actions.end(), given_back.begin(), given_back.end());
        }
        actions.push_back({Do::remove_sandbox, state.id, qemu.why});
        break;
    }
    return actions;
}

bool settled(const std::vector<Action>& actions) {
    return std::all_of(actions.begin(), actions.end(), [](const auto& action) {
        return action.kind == Do::keep || action.kind == Do::lost || action.kind == Do::stray;
    });
}

bool blocked(const std::vector<Action>& actions) {
    return std::any_of(actions.begin(), actions.end(),
                       [](const auto& action) { return action.kind == Do::blocked; });
}

} // namespace kata_vfio::plugin
