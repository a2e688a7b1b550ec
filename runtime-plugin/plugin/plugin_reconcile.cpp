// SPDX-License-Identifier: Apache-2.0
// Reconcile: the host put right from journals, sysfs, QEMU and processes.
#include "runtime-plugin/plugin/crash_point.hpp"
#include "runtime-plugin/plugin/host_call.hpp"
#include "runtime-plugin/plugin/plugin.hpp"
#include "runtime-plugin/plugin/sandbox_id.hpp"
#include "runtime-plugin/plugin/survey.hpp"
#include "runtime-plugin/plugin/virtual_functions.hpp"

#include <boost/json.hpp>

namespace kata_vfio::plugin {
namespace asio = boost::asio;

void Plugin::reconcile(std::string id, bool dry_run, Completion done, const Started& started) {
    auto body = [this, id = std::move(id), dry_run](const Caller& caller) {
        return run_reconcile(id, dry_run, caller);
    };
    start(nullptr, std::move(body), std::move(done), started);
}

void Plugin::resume(const std::string& id) {
    context_.log(LogLevel::info, "sandbox " + id +
                                     ": a process that kept a device of it has let it go or "
                                     "ended, or its owner has");
    auto body = [this, id](const Caller& caller) -> asio::awaitable<Outcome> {
        const auto finding = co_await run_sandbox_reconcile(id, Sandbox::Patience::waits,
                                                            Sandbox::AskQemu::if_needed, caller);
        Outcome outcome;
        outcome.failure = finding.failure;
        if (finding.verdict != Verdict::pending)
            context_.log(LogLevel::info, "sandbox " + id + ": pending removal is finished (" +
                                             std::string(name(finding.verdict)) + ")");
        co_return outcome;
    };
    auto done = [this, id](Ticket, Outcome&& outcome) {
        if (outcome.failure)
            context_.log(LogLevel::warning, "sandbox " + id + ": " + outcome.failure->what());
    };
    start(nullptr, std::move(body), std::move(done), [](Ticket) {});
}

void Plugin::tend(const std::string& id) {
    auto body = [this, id](const Caller& caller) -> asio::awaitable<Outcome> {
        const auto sandbox = visit(id, caller);
        std::exception_ptr error;
        try {
            if (sandbox)
                co_await sandbox->tend(caller);
        } catch (...) {
            error = std::current_exception();
        }
        leave(caller);
        if (error)
            std::rethrow_exception(error);
        co_return Outcome{};
    };
    auto done = [this, id](Ticket, Outcome&& outcome) {
        // Released by its host meanwhile: which has given everything back.
        if (outcome.failure && outcome.failure->code() != Errc::sandbox_not_found &&
            outcome.failure->code() != Errc::cancelled)
            context_.log(LogLevel::warning,
                         "sandbox " + id + ": its own devices: " + outcome.failure->what());
    };
    start(nullptr, std::move(body), std::move(done), [](Ticket) {});
}

std::shared_ptr<Sandbox> Plugin::visit(const std::string& id, const Caller& caller) {
    std::shared_ptr<Sandbox> sandbox;
    if (const auto found = sandboxes_.find(id); found != sandboxes_.end())
        sandbox = found->second.lock();
    if (sandbox) { // so that a close of its handle waits for this call too
        const std::lock_guard lock(mutex_);
        calls_.at(caller.ticket)->visiting = sandbox.get();
    }
    return sandbox;
}

void Plugin::leave(const Caller& caller) {
    const std::lock_guard lock(mutex_);
    calls_.at(caller.ticket)->visiting = nullptr;
    finished_.notify_all();
}

asio::awaitable<SandboxFinding> Plugin::run_sandbox_reconcile(std::string id,
                                                              Sandbox::Patience patience,
                                                              Sandbox::AskQemu ask,
                                                              const Caller& caller) {
    auto sandbox = visit(id, caller);
    if (!sandbox)
        sandbox = std::make_shared<Sandbox>(context_, id);
    std::exception_ptr error;
    SandboxFinding finding;
    try {
        finding = co_await sandbox->reconcile(patience, ask, caller);
    } catch (...) {
        error = std::current_exception();
    }
    leave(caller);
    if (error)
        std::rethrow_exception(error);
    co_return finding;
}

asio::awaitable<Outcome> Plugin::run_reconcile(std::string id, bool dry_run, const Caller& caller) {
    ReconcileReport report;
    SeenStates seen;
    std::optional<KnownMdevs> mdevs; // for as long as nothing was done
    report.dry_run = dry_run;
    std::error_code ec;
    if (!id.empty() && !std::filesystem::exists(context_.state.sandbox(require_sandbox_id(id)), ec))
        throw not_known(id);
    auto look = [&] {
        if (id.empty()) {
            report.quarantined = survey_strangers(context_, dry_run);
            if (!dry_run) {
                context_.state.clear_removed();
                context_.state.clear_temporaries();
            }
        }
        std::vector<std::string> ids;
        if (!id.empty())
            ids.push_back(id);
        else
            for (auto& each : context_.state.sandbox_ids())
                if (is_sandbox_id(each))
                    ids.push_back(std::move(each));
        if (ids.size() > 1)
            mdevs = list_mdevs(context_);
        report.sandboxes = survey_sandboxes(context_, ids, mdevs ? &*mdevs : nullptr, seen);
    };
    co_await on_host(context_.host_pool, look);
    crash_point(CrashPoint::reconcile_looked);
    for (auto& finding : report.sandboxes) {
        // A monitor serves one client, and asking many of them takes its time: which devices it has
        // is asked of a QEMU that is connected to, and of one that was asked for by its name.
        const auto known = sandboxes_.find(finding.id);
        const auto open = known == sandboxes_.end() ? nullptr : known->second.lock();
        const bool ask = !id.empty() || (open && open->connected());
        if (dry_run || (settled(finding.actions) && !ask))
            continue;
        if (caller.gave_up())
            throw Failure(Errc::cancelled, "the reconcile was cancelled before sandbox " +
                                               finding.id + "; what was put right stays so");
        mdevs.reset();
        const std::string which = finding.id;
        finding = co_await run_sandbox_reconcile(
            which, Sandbox::Patience::looks,
            ask ? Sandbox::AskQemu::devices : Sandbox::AskQemu::if_needed, caller);
    }
    std::vector<std::string> notes;
    auto rest = [&] {
        // Of sandboxes whose record is lost: whoever has none of them any more keeps none enabled.
        if (!dry_run && id.empty())
            for (const auto& parent : enabled_parents(context_.state))
                try {
                    if (auto kept = disable_unused_functions(
                            context_.root, context_.state, context_.claims, parent,
                            context_.config.vfio.timeouts.host_write))
                        notes.push_back(*std::move(kept));
                } catch (const Failure& failure) {
                    notes.emplace_back(failure.what());
                }
        report.claims = survey_claims(context_, dry_run, report.quarantined);
        report.devices = survey_devices(context_, seen, mdevs ? *mdevs : list_mdevs(context_));
    };
    co_await on_host(context_.host_pool, rest);
    for (const auto& note : notes)
        context_.log(LogLevel::warning, note);
    Outcome outcome;
    outcome.json = to_json(report);
    co_return outcome;
}

} // namespace kata_vfio::plugin
