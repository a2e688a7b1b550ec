// SPDX-License-Identifier: Apache-2.0
#include "qemu/unplug_fsm.hpp"

#include "config/base/text.hpp"

#include <algorithm>

namespace kata_vfio::qemu {
namespace {

template <class... F>
struct Overloaded : F... {
    using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>; // clang 16 wants it written

} // namespace

UnplugFsm::UnplugFsm(std::string id, std::chrono::milliseconds deadline,
                     std::chrono::milliseconds resend)
    : id_(std::move(id)), limit_(deadline), resend_(resend) {}

UnplugAction UnplugFsm::resume(const UnplugEvent& event, Clock::time_point now) {
    return std::visit(Overloaded{
                          [&](const unplug_event::Begin&) {
                              deadline_ = now + limit_;
                              return UnplugAction{UnplugAction::query_status};
                          },
                          [&](const unplug_event::Status& e) {
                              state_ = e.state;
                              if (!state_.before_start())
                                  return send(now);
                              Failure why(Errc::guest_not_ready,
                                          "the guest has never been started (" + state_.status +
                                              "): a removal asked for now would wedge " + id_ +
                                              " until the next reset");
                              why.remedy("start the guest first, or end the sandbox");
                              return UnplugAction{UnplugAction::fail, {}, std::move(why)};
                          },
                          [&](const unplug_event::Accepted&) {
                              unanswered_ = false;
                              return deleted_ ? UnplugAction{UnplugAction::verify} : wait(now);
                          },
                          [&](const unplug_event::Refused& e) {
                              unanswered_ = false;
                              return refused(e.why, now);
                          },
                          [&](const unplug_event::Unanswered&) {
                              unanswered_ = true;
                              if (now < deadline_)
                                  return deleted_ ? UnplugAction{UnplugAction::verify} : wait(now);
                              return UnplugAction{UnplugAction::fail, {}, timed_out()};
                          },
                          [&](const unplug_event::Seen& e) { return seen(e.event, now); },
                          [&](const unplug_event::TimeIsUp&) {
                              // The event may have been missed; what QEMU says now decides.
                              if (now >= deadline_)
                                  return UnplugAction{UnplugAction::verify};
                              return now >= next_send_ ? send(now) : wait(now);
                          },
                          [&](const unplug_event::Verified& e) {
                              unanswered_ = false;
                              return verified(e.present);
                          },
                      },
                      event);
}

UnplugAction UnplugFsm::send(Clock::time_point now) {
    ++sent_;
    next_send_ = now + resend_;
    return {UnplugAction::send_device_del};
}

UnplugAction UnplugFsm::wait(Clock::time_point now) {
    // A stopped guest's request stays queued in QEMU: sending it again would tell us nothing.
    const bool may_resend = state_.running && sent_ > 0;
    auto until = may_resend ? std::min(next_send_, deadline_) : deadline_;
    return {UnplugAction::wait, std::max(until, now)};
}

UnplugAction UnplugFsm::refused(const QmpFailure& why, Clock::time_point now) {
    if (why.refusal() == Refusal::device_not_found) {
        not_found_ = true;
        return {UnplugAction::verify};
    }
    if (deleted_)
        return {UnplugAction::verify};
    // The guest has been asked and has not answered; that is what we wait for.
    if (why.refusal() == Refusal::unplug_pending || why.refusal() == Refusal::unplug_busy)
        return wait(now);
    return {UnplugAction::fail, {}, why};
}

UnplugAction UnplugFsm::seen(const Event& event, Clock::time_point now) {
    if (event.name == "STOP")
        state_ = {"paused", false};
    if (event.name == "RESUME") {
        state_ = {"running", true};
        next_send_ = std::max(next_send_, now + resend_);
    }
    if (event.name == "DEVICE_DELETED") {
        deleted_ = true;
        return {UnplugAction::verify};
    }
    if (event.name == "DEVICE_UNPLUG_GUEST_ERROR") {
        Failure why(Errc::guest_not_ready, "the guest refused to let " + id_ + " go");
        why.remedy("stop what uses the device in the guest, then detach again");
        return {UnplugAction::fail, {}, std::move(why)};
    }
    return wait(now);
}

UnplugAction UnplugFsm::verified(bool present) {
    if (!present)
        return {UnplugAction::done};
    if (deleted_ || not_found_) {
        Failure why(Errc::qmp_protocol,
                    "QEMU reported " + id_ + " removed, but /machine/peripheral still has it");
        why.remedy("somebody else may have plugged a device of the same id: list the sandbox");
        return {UnplugAction::fail, {}, std::move(why)};
    }
    return {UnplugAction::fail, {}, timed_out()};
}

bool UnplugFsm::wants(const Event& event) const {
    if (event.name == "STOP" || event.name == "RESUME")
        return true;
    // Children of the device are announced first, with a path and no id.
    return (event.name == "DEVICE_DELETED" || event.name == "DEVICE_UNPLUG_GUEST_ERROR") &&
           event.text("device") == id_;
}

std::string UnplugFsm::note() const {
    if (sent_ == 0 || state_.running)
        return {};
    return "the guest is not running (" + state_.status + "): it can let " + id_ +
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
    if (!state_.running)
        why.blocked_by("the guest is not running: " + state_.status)
            .remedy("let the guest continue, then detach again; the device is still in it");
    else
        why.blocked_by("a guest that has not booted yet, has no ACPI hot-plug, or is hung")
            .remedy("detach again once the guest has booted; the device is still in it");
    return why;
}

} // namespace kata_vfio::qemu
