// SPDX-License-Identifier: Apache-2.0
#include "qemu/unplug_fsm.hpp"

#include "config/base/overloaded.hpp"

#include <algorithm>

namespace kata_vfio::qemu {
UnplugFsm::UnplugFsm(std::string id, std::chrono::milliseconds deadline,
                     std::chrono::milliseconds resend, LifeState known)
    : id_(std::move(id)), limit_(deadline), resend_(resend), life_(known) {}

UnplugAction UnplugFsm::resume(const UnplugEvent& event, Clock::time_point now) {
    const auto on = [&](LifeEvent what) { return act(life_.on(what), now); };
    return std::visit(
        Overloaded{
            [&](const unplug_event::Begin&) {
                deadline_ = now + limit_;
                return on(LifeEvent::unplug_begun);
            },
            [&](const unplug_event::Status& e) {
                guest_ = e.state;
                return on(life_event(guest_));
            },
            [&](const unplug_event::Accepted&) {
                unanswered_ = false;
                return on(LifeEvent::reply_ok);
            },
            [&](const unplug_event::Refused& e) {
                unanswered_ = false;
                said_ = e.why;
                return on(life_event(e.why));
            },
            [&](const unplug_event::Unanswered&) {
                unanswered_ = true;
                return on(now < deadline_ ? LifeEvent::unanswered : LifeEvent::silent);
            },
            [&](const unplug_event::Seen& e) {
                if (e.event.name == "STOP")
                    guest_ = {"paused", false};
                if (e.event.name == "RESUME") {
                    guest_ = {"running", true};
                    next_send_ = std::max(next_send_, now + resend_);
                }
                const auto what = life_event(e.event, id_);
                return what ? on(*what) : wait(now);
            },
            [&](const unplug_event::TimeIsUp&) {
                // The event may have been missed; what QEMU says now decides.
                if (now >= deadline_)
                    return on(LifeEvent::deadline);
                return now >= next_send_ ? on(LifeEvent::resend_due) : wait(now);
            },
            [&](const unplug_event::Verified& e) {
                unanswered_ = false;
                return on(e.present ? LifeEvent::found_present : LifeEvent::found_absent);
            },
            [&](const unplug_event::Lost& e) {
                said_ = e.why;
                return on(LifeEvent::disconnected);
            },
        },
        event);
}

UnplugAction UnplugFsm::act(LifeStep step, Clock::time_point now) {
    switch (step) {
    case LifeStep::ask_status:
        return {UnplugAction::query_status};
    case LifeStep::send_del:
        return send(now);
    case LifeStep::verify:
        return {UnplugAction::verify};
    case LifeStep::done:
        return {UnplugAction::done};
    case LifeStep::refuse:
    case LifeStep::gone:
        return fail(*said_);
    case LifeStep::crash: {
        auto why = *said_;
        why.remedy(why.advice() + (why.advice().empty() ? "" : "; ") + "the removal of " + id_ +
                   " was pending, of which QEMU 9 and later abort at a reset");
        return fail(std::move(why));
    }
    case LifeStep::refuse_early: {
        Failure why(Errc::guest_not_ready, "the guest has never been started (" + guest_.status +
                                               "): a removal asked for now would wedge " + id_ +
                                               " until the next reset");
        why.remedy("start the guest first, or end the sandbox");
        return fail(std::move(why));
    }
    case LifeStep::guest_refused: {
        Failure why(Errc::guest_not_ready, "the guest refused to let " + id_ + " go");
        why.remedy("stop what uses the device in the guest, then detach again");
        return fail(std::move(why));
    }
    case LifeStep::contradiction: {
        Failure why(Errc::qmp_protocol,
                    "QEMU reported " + id_ + " removed, but /machine/peripheral still has it");
        why.remedy("somebody else may have plugged a device of the same id: list the sandbox");
        return fail(std::move(why));
    }
    case LifeStep::unanswered:
        return fail(timed_out());
    case LifeStep::wait:
    case LifeStep::none:
    case LifeStep::tell: // from here on a plug's, which no unplug comes to
    case LifeStep::send_add:
    case LifeStep::choose_slot:
    case LifeStep::take_back:
        break;
    }
    return wait(now);
}

UnplugAction UnplugFsm::send(Clock::time_point now) {
    if (sent_ > 0 && now >= deadline_) // asked once more in vain
        return fail(timed_out());
    ++sent_;
    next_send_ = now + resend_;
    return {UnplugAction::send_device_del};
}

UnplugAction UnplugFsm::wait(Clock::time_point now) {
    if (sent_ == 0)
        return send(now);
    // A stopped guest's request stays queued in QEMU: sending it again would tell us nothing.
    auto until = guest_.running ? std::min(next_send_, deadline_) : deadline_;
    return {UnplugAction::wait, std::max(until, now)};
}

bool UnplugFsm::wants(const Event& event) const {
    const auto what = life_event(event, id_);
    return what && *what != LifeEvent::child_deleted;
}

std::string UnplugFsm::note() const {
    if (sent_ == 0 || guest_.running)
        return {};
    return "the guest is not running (" + guest_.status + "): it can let " + id_ +
           " go only when it continues";
}

Failure UnplugFsm::timed_out() const {
    const auto within = " within " + std::to_string(limit_.count()) + " ms";
    if (unanswered_) {
        Failure why(Errc::unplug_timeout, "QEMU did not answer about " + id_ + within);
        why.remedy("see whether the QEMU process is stopped or its host overloaded; the device may "
                   "still be in the guest");
        return why;
    }
    Failure why(Errc::unplug_timeout, "the guest did not let " + id_ + " go" + within + " (asked " +
                                          std::to_string(sent_) +
                                          (sent_ == 1 ? " time)" : " times)"));
    if (!guest_.running)
        why.blocked_by("the guest is not running: " + guest_.status)
            .remedy("let the guest continue, then detach again; the device is still in it");
    else
        why.blocked_by("a guest that has not booted yet, has no ACPI hot-plug, or is hung")
            .remedy("detach again once the guest has booted; the device is still in it");
    return why;
}

} // namespace kata_vfio::qemu
