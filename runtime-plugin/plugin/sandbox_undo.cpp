// SPDX-License-Identifier: Apache-2.0
#include "config/base/failure.hpp"
#include "qemu/hotplug.hpp"
#include "runtime-plugin/plugin/crash_point.hpp"
#include "runtime-plugin/plugin/host_action.hpp"
#include "runtime-plugin/plugin/host_call.hpp"
#include "runtime-plugin/plugin/host_picture.hpp"
#include "runtime-plugin/plugin/process.hpp"
#include "runtime-plugin/plugin/sandbox_locked.hpp"
#include "vfio/vfio_node.hpp"

#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>

namespace kata_vfio::plugin {
namespace asio = boost::asio;

void Sandbox::save(const SandboxState& state) {
    auto file = prepare_state(context_.state.sandbox(id_), state);
    commit(file, state);
}

void Sandbox::commit(Replacement& file, const SandboxState& state) {
    const auto unsynced = commit_state(file);
    known_.wrote(file, state);
    if (unsynced)
        context_.log(LogLevel::warning, "sandbox " + id_ + ": " + unsynced->what());
}

asio::awaitable<void> Sandbox::recover(const SandboxState& state, const Caller& caller) {
    const auto directory = context_.state.sandbox(id_);
    auto left = read_journal(directory);
    if (!left)
        co_return;
    context_.log(LogLevel::warning,
                 "sandbox " + id_ + ": undoing an unfinished " + left->operation + " of " +
                     std::to_string(left->steps.size()) + " steps, unless it is on record");
    co_await undo(std::move(*left), state, 0);
    co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
    Journal(directory).clear();
    if (caller.gave_up())
        throw Failure(Errc::cancelled, "the request was cancelled while what a killed process left "
                                       "was undone; that is done, nothing else was begun");
}

asio::awaitable<void> Sandbox::undo(LeftJournal left, const SandboxState& state,
                                    std::uint64_t ticket) {
    // From here on nothing may cut it short: the caller's wish to cancel is being carried out.
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    const auto plugged = [](const Step& step) { return std::holds_alternative<PlugStep>(step); };
    bool alive = false; // of no account to a journal that plugged nothing
    if (std::any_of(left.steps.begin(), left.steps.end(), plugged)) {
        alive = co_await connect_if_alive(state);
        if (!alive)
            co_await await_exit(state); // it is gone after that, or this has thrown
    }
    // A connection that is lost from here on is unplug()'s to make again: QEMU is taken for gone
    // only when its process is.
    const QemuPicture qemu{alive ? QemuLife::running : QemuLife::gone, alive, ""};
    const std::optional<LeftJournal> journal(std::move(left));
    std::vector<Action> plan;
    auto look = [&] {
        const auto host = look_at_host(context_.root, context_.claims, journal, state);
        plan = plan_journal(*journal, state, host, qemu);
    };
    co_await on_host(context_.host_pool, look);
    if (plan.size() > 1)
        progress(ticket, "undo " + std::to_string(plan.size() - 1) + " steps");
    for (const auto& action : plan)
        if (action.kind == Action::Kind::unplug) {
            co_await unplug(action.subject, state, ticket);
            crash_point(CrashPoint::undo_unplugged);
        }
    HostActor actor(context_, state, HostActor::Occasion::undo,
                    context_.config.vfio.timeouts.host_write);
    auto act = [&] { actor.act(plan); };
    std::exception_ptr error;
    try {
        co_await on_host(context_.host_pool, act);
    } catch (...) {
        error = std::current_exception();
    }
    // Here, as the host is called on the loop's thread alone.
    for (const auto& note : actor.notes)
        context_.log(LogLevel::warning, "sandbox " + id_ + ": " + note);
    if (error) {
        if (actor.helper)
            context_.pending.add(id_, actor.stopped_at, std::move(actor.helper), PendingOn{});
        std::rethrow_exception(error);
    }
    crash_point(CrashPoint::undo_done);
}

asio::awaitable<void> Sandbox::unplug(const std::string& qdev_id, const SandboxState& state,
                                      std::uint64_t ticket) {
    const qemu::UnplugProgress tell = [this, ticket](const std::string& text) {
        progress(ticket, text);
    };
    constexpr unsigned most_rounds = 3; // a QEMU that drops us each time is not asked for ever
    for (unsigned round = 1; co_await connect_if_alive(state); ++round) {
        const auto monitor = monitor_; // a close() meanwhile must not take it away
        const auto session = monitor->session();
        if (round > 1 && !monitor->last_known().devices.contains(qdev_id)) {
            progress(ticket, "connected again: QEMU does not have " + qdev_id + " any more");
            co_return;
        }
        try {
            co_await qemu::unplug(*session, qdev_id, tell);
            if (bus_)
                bus_->take(qdev_id);
            co_return;
        } catch (const Failure&) {
            if (session->running() || round == most_rounds)
                throw;
        }
        // Lost over it: what QEMU says over the next connection decides.
    }
    // QEMU has ended: its devices went with it.
    co_await await_exit(state);
}

asio::awaitable<void> Sandbox::give_back(SandboxState& state, std::string qdev_id,
                                         Patience patience) {
    const auto found = std::find_if(state.attachments.begin(), state.attachments.end(),
                                    [&](const auto& each) { return each.id == qdev_id; });
    const Attachment attachment = *found;
    std::optional<HostActor> actor;
    std::optional<PendingOn> holder;
    std::exception_ptr error;
    auto on_the_host = [&] {
        try {
            const auto host = look_at_host(context_.root, context_.claims, std::nullopt, state);
            const auto vgpu = host.mdevs.find(attachment.uuid);
            const bool under_way = vgpu != host.mdevs.end() && vgpu->second.pending;
            const auto limit = under_way && patience == Patience::looks
                                   ? std::chrono::milliseconds(0)
                                   : context_.config.vfio.timeouts.host_write;
            actor.emplace(context_, state, HostActor::Occasion::give_back, limit);
            actor->act(plan_give_back(attachment, state, host));
        } catch (const Failure& failure) {
            error = std::current_exception();
            if (still_held(failure.code()))
                holder = pending_on(context_.root, attachment);
        }
    };
    co_await on_host(context_.host_pool, on_the_host);
    if (actor) // here, as the host is called on the loop's thread alone
        for (const auto& note : actor->notes)
            context_.log(LogLevel::warning, "sandbox " + id_ + ": " + note);
    if (!error)
        co_return;
    if (holder && actor) {
        std::optional<std::filesystem::path> node;
        if (attachment.iommu_group)
            node = vfio::group_node(context_.root, *attachment.iommu_group);
        context_.pending.add(id_, actor->stopped_at, std::move(actor->helper), *holder, node);
        if (found->pending != holder) {
            found->pending = holder;
            save(state);
        }
    }
    std::rethrow_exception(error);
}

asio::awaitable<void> Sandbox::await_exit(const SandboxState& state) {
    if (connected())
        co_return;
    const vfio::Deadline deadline(context_.config.vfio.timeouts.host_write);
    std::string blocker;
    auto wait = [&] {
        if (state.qemu_pid > 0) {
            blocker = "pid " + std::to_string(state.qemu_pid);
            return await_process_exit(context_.root, state.qemu_pid, state.qemu_start, deadline);
        }
        return await_let_go(context_.root, context_.claims,
                            read_journal(context_.state.sandbox(id_)), state, deadline, blocker);
    };
    if (!*co_await on_host(context_.host_pool, wait))
        throw Failure(Errc::removal_pending, "QEMU's monitor is closed, but its process still runs "
                                             "and may have the devices")
            .blocked_by(blocker)
            .remedy("open the sandbox again if its monitor can be reached, or end the process; "
                    "then detach or release again");
}

} // namespace kata_vfio::plugin
