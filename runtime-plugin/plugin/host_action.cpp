// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/host_action.hpp"

#include "mdev/mdev_remove.hpp"
#include "runtime-plugin/plugin/crash_point.hpp"
#include "runtime-plugin/plugin/virtual_functions.hpp"
#include "vfio/driver_binding.hpp"

namespace kata_vfio::plugin {

void HostActor::act(const std::vector<Action>& actions) {
    using Do = Action::Kind;
    const auto passed = [&](CrashPoint in_undo, CrashPoint in_give_back) {
        crash_point(occasion_ == Occasion::undo ? in_undo : in_give_back);
    };
    for (const auto& action : actions) {
        stopped_at = action.subject;
        switch (action.kind) {
        case Do::remove_vgpu:
            remove_vgpu(action.subject);
            passed(CrashPoint::undo_vgpu_removed, CrashPoint::give_back_vgpu_removed);
            break;
        case Do::restore_driver:
            restore_driver(*action.record);
            passed(CrashPoint::undo_driver_restored, CrashPoint::give_back_driver_restored);
            break;
        case Do::drop_claim:
            context_.claims.drop(action.subject, state_.id);
            passed(CrashPoint::undo_claim_dropped, CrashPoint::give_back_claim_dropped);
            break;
        case Do::take_claim:
            context_.claims.take({action.subject}, claim_of(state_));
            notes.push_back("claim " + action.subject + " is taken again: " + action.why);
            break;
        case Do::leave_alone:
            notes.push_back(action.subject + " is left alone: " + action.why);
            break;
        case Do::disable_functions:
            if (auto kept = disable_unused_functions(context_.root, context_.state, context_.claims,
                                                     action.subject, deadline_))
                notes.push_back(*std::move(kept));
            crash_point(CrashPoint::sriov_disabled);
            break;
        case Do::restore_owner:
            if (const auto kept = take_back(context_.root, *action.lent); !kept.empty())
                notes.push_back(action.subject + " is left alone: " + kept);
            passed(CrashPoint::undo_owner_restored, CrashPoint::give_back_owner_restored);
            break;
        case Do::keep:
        case Do::unplug:
        case Do::forget:
        case Do::clear_journal:
        case Do::remove_sandbox:
        case Do::quarantine:
        case Do::blocked:
        case Do::lost:
        case Do::let_go:
        case Do::stray:
            break;
        }
    }
}

void HostActor::remove_vgpu(const std::string& uuid) {
    std::string parent; // finds it while that is being unbound, too
    for (const auto& attachment : state_.attachments)
        if (attachment.uuid == uuid)
            parent = attachment.host_address;
    auto result = mdev::remove(context_.root, mdev::Uuid::require(uuid), deadline_, parent);
    if (result.outcome == mdev::RemoveOutcome::removed)
        return;
    helper = std::move(result.helper);
    throw Failure(Errc::removal_pending, "vGPU " + uuid + " is unplugged but still held")
        .remedy("it goes when its holder lets go; kata-vfio reconcile, or another detach or "
                "release, then finishes it");
}

void HostActor::restore_driver(const vfio::BindRecord& record) {
    const auto result = vfio::restore_driver(context_.root, record, deadline_);
    if (result.outcome == vfio::RestoreOutcome::left_alone)
        notes.push_back(result.note);
}

} // namespace kata_vfio::plugin
