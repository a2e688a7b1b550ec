// SPDX-License-Identifier: Apache-2.0
// What becomes of a sandbox whose owner, or QEMU, has died.
#include "qemu/inventory.hpp"
#include "runtime-plugin/plugin/crash_point.hpp"
#include "runtime-plugin/plugin/host_action.hpp"
#include "runtime-plugin/plugin/host_call.hpp"
#include "runtime-plugin/plugin/host_picture.hpp"
#include "runtime-plugin/plugin/record.hpp"
#include "runtime-plugin/plugin/sandbox_locked.hpp"

#include <algorithm>

namespace kata_vfio::plugin {
namespace asio = boost::asio;
namespace {

Verdict verdict_of(Errc code) {
    if (code == Errc::sandbox_busy)
        return Verdict::busy;
    return still_held(code) ? Verdict::pending : Verdict::failed;
}

std::optional<PendingOn> holder_in(const SandboxState& state) {
    for (const auto& attachment : state.attachments)
        if (attachment.pending)
            return attachment.pending;
    return std::nullopt;
}

} // namespace

asio::awaitable<std::optional<Failure>> Sandbox::settle(SandboxState& state, Patience patience,
                                                        const Caller& caller) {
    std::optional<Failure> first;
    std::vector<std::string> let_go;
    for (const auto& attachment : state.attachments)
        if (attachment.unplugged)
            let_go.push_back(attachment.id);
    std::reverse(let_go.begin(), let_go.end());
    for (const auto& id : let_go) {
        if (caller.gave_up())
            throw Failure(Errc::cancelled, "the request was cancelled before " + id +
                                               " was given back; it stays on record");
        try {
            co_await detach_one(state, id, caller.ticket, patience);
        } catch (const Failure& failure) {
            context_.log(LogLevel::warning, "sandbox " + id_ + ": " + failure.what());
            if (!first)
                first = failure;
        }
    }
    HostActor actor(context_, state, HostActor::Occasion::give_back, std::chrono::seconds(0));
    auto claim_again = [&] {
        const auto host = look_at_host(context_.root, context_.claims, std::nullopt, state);
        auto plan = plan_sandbox(std::nullopt, state, host, {QemuLife::running, true, ""});
        std::erase_if(plan,
                      [](const Action& action) { return action.kind != Action::Kind::take_claim; });
        actor.act(plan);
    };
    co_await on_host(context_.host_pool, claim_again);
    for (const auto& note : actor.notes)
        context_.log(LogLevel::warning, "sandbox " + id_ + ": " + note);
    co_return first;
}

asio::awaitable<QemuPicture> Sandbox::ask_qemu(const SandboxState& state, bool need_monitor) {
    auto qemu = co_await judge_qemu(state, need_monitor);
    qemu.orphaned = orphaned(context_.root, state);
    co_return qemu;
}

asio::awaitable<std::optional<Failure>>
Sandbox::give_all_back(SandboxState& state, Patience patience, const Caller& caller) {
    std::optional<Failure> first;
    auto attached = state.attachments;
    std::reverse(attached.begin(), attached.end());
    for (const auto& attachment : attached) {
        try {
            co_await detach_one(state, attachment.id, caller.ticket, patience);
        } catch (const Failure& failure) {
            context_.log(LogLevel::warning, "sandbox " + id_ + ": " + failure.what());
            if (!first)
                first = failure;
        }
    }
    co_return first;
}

asio::awaitable<QemuPicture> Sandbox::judge_qemu(const SandboxState& state, bool need_monitor) {
    auto qemu = connected() ? QemuPicture{QemuLife::running, true, "its QEMU answers"}
                            : look_at_qemu(context_.root, state);
    if (qemu.monitor || qemu.life == QemuLife::gone ||
        (qemu.life == QemuLife::running && !need_monitor))
        co_return qemu;
    try {
        remember_process(state);
        (void)co_await connect_if_alive(state);
    } catch (const Failure& failure) { // busy, or not answering: somebody is there
        co_return QemuPicture{QemuLife::running, false, failure.what()};
    }
    if (connected())
        co_return QemuPicture{QemuLife::running, true, "its QEMU answers"};
    if (qemu.life == QemuLife::running) {
        qemu.why += ", but its monitor is closed";
        co_return qemu;
    }
    const auto journal = read_journal(context_.state.sandbox(id_));
    auto judge = [&] {
        return judge_by_groups(look_at_host(context_.root, context_.claims, journal, state, true));
    };
    co_return *co_await on_host(context_.host_pool, judge);
}

asio::awaitable<std::set<std::string>> Sandbox::vfio_devices() {
    const auto session = monitor_->session(); // a close() meanwhile must not take it away
    const auto inventory = co_await qemu::inventory(*session);
    std::set<std::string> ids;
    for (const auto& device : inventory.devices())
        // What is removing has no type any more: QEMU has not let it go yet.
        if (device.type.empty() || device.type.starts_with("vfio-pci"))
            ids.insert(device.id);
    co_return ids;
}

asio::awaitable<SandboxFinding> Sandbox::reconcile(Patience patience, AskQemu ask,
                                                   const Caller& caller) {
    SandboxFinding finding;
    finding.id = id_;
    const bool was_open = monitor_ != nullptr;
    try {
        auto turn = co_await turnstile_.enter();
        const auto held = context_.state.lock_sandbox(id_);
        crash_point(CrashPoint::reconcile_begun);
        context_.state.clear_temporaries(id_);
        co_await reconcile_locked(finding, patience, ask, caller);
    } catch (const Failure& failure) {
        if (failure.code() == Errc::cancelled)
            throw;
        finding.verdict = verdict_of(failure.code());
        finding.why = failure.problem();
        finding.failure = failure;
    }
    if (!was_open)
        close();
    crash_point(CrashPoint::reconcile_sandbox_done);
    co_return finding;
}

asio::awaitable<void> Sandbox::reconcile_locked(SandboxFinding& finding, Patience patience,
                                                AskQemu ask, const Caller& caller) {
    const auto directory = context_.state.sandbox(id_);
    auto record = read_record(directory, id_);
    const auto put_aside = [&](const std::filesystem::path& path, const std::string& why) {
        finding.quarantined.push_back(quarantine(context_.state, path, why));
        context_.log(LogLevel::error, "sandbox " + id_ + ": " + path.string() + " was moved to " +
                                          finding.quarantined.back().to.string() + ": " + why);
        finding.actions.push_back({Action::Kind::quarantine, path.string(), why});
    };
    if (record.bad_state || (!record.state && record.journal && !record.journal->steps.empty())) {
        finding.verdict = Verdict::quarantined;
        finding.why = record.bad_state ? record.bad_state->why
                                       : "it has a journal, but no state: what was attached is not "
                                         "known";
        put_aside(directory, finding.why);
        co_return;
    }
    if (!record.state) {
        context_.state.remove_sandbox(id_);
        finding.verdict = Verdict::given_back;
        finding.why = "it was being opened when its process was killed";
        finding.actions.push_back({Action::Kind::remove_sandbox, id_, finding.why});
        co_return;
    }
    if (record.bad_journal)
        put_aside(record.bad_journal->file, record.bad_journal->why);

    auto state = std::move(*record.state);
    const bool alone = orphaned(context_.root, state);
    auto qemu = co_await ask_qemu(state, record.journal || alone || ask == AskQemu::devices);
    if (ask == AskQemu::devices && qemu.monitor && !alone)
        qemu.devices = co_await vfio_devices();
    std::vector<Action> plan;
    auto look = [&] {
        plan =
            plan_sandbox(record.journal, state,
                         look_at_host(context_.root, context_.claims, record.journal, state), qemu);
    };
    co_await on_host(context_.host_pool, look);
    finding.why = qemu.why;
    finding.actions.insert(finding.actions.end(), plan.begin(), plan.end());
    const auto stuck = std::find_if(plan.begin(), plan.end(), [](const Action& action) {
        return action.kind == Action::Kind::blocked;
    });
    if (stuck != plan.end()) {
        finding.verdict = Verdict::pending;
        finding.why = stuck->subject + ": " + stuck->why;
        co_return;
    }
    if (record.journal)
        co_await recover(state, caller);
    crash_point(CrashPoint::reconcile_recovered);
    const bool gone = qemu.life == QemuLife::gone;
    bool let_go = false;
    for (auto& attachment : state.attachments) {
        // What recover() has just taken out was never on record, so the plan's list still holds.
        const bool without =
            qemu.devices && attachment.plugged() && !qemu.devices->contains(attachment.id);
        let_go |= without || gone;
        attachment.unplugged |= without || gone;
    }
    if (let_go)
        save(state);
    const bool over = qemu.orphaned && !gone;
    std::optional<Failure> failure;
    if (over)
        failure = co_await give_all_back(state, patience, caller);
    else
        failure = co_await settle(state, patience, caller);
    if (failure) {
        finding.verdict = verdict_of(failure->code());
        finding.why = failure->problem();
        finding.failure = failure;
        finding.holder = holder_in(state);
        co_return;
    }
    if (!gone && !over) {
        for (const auto& action : finding.actions)
            if (action.kind == Action::Kind::stray)
                finding.why = action.subject + ": " + action.why;
        finding.verdict = settled(finding.actions) ? Verdict::kept : Verdict::recovered;
        co_return;
    }
    context_.state.remove_sandbox(id_);
    close();
    finding.verdict = Verdict::given_back;
}

} // namespace kata_vfio::plugin
