// SPDX-License-Identifier: Apache-2.0
#include "config/base/failure.hpp"
#include "mdev/mdev_remove.hpp"
#include "qemu/hotplug.hpp"
#include "runtime-plugin/plugin/host_call.hpp"
#include "runtime-plugin/plugin/sandbox_locked.hpp"
#include "vfio/driver_binding.hpp"

#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>

namespace kata_vfio::plugin {
namespace asio = boost::asio;
namespace {

/// Whether an attachment, other than the one of id `but`, has the claim: two functions of one group
/// share the group's.
bool needed(const SandboxState& state, const std::string& claim, const std::string& but = {}) {
    return std::any_of(state.attachments.begin(), state.attachments.end(), [&](const auto& other) {
        const auto claims = claims_of(other);
        return other.id != but && std::find(claims.begin(), claims.end(), claim) != claims.end();
    });
}

} // namespace

asio::awaitable<void> Sandbox::recover(const SandboxState& state, const Caller& caller) {
    const auto directory = context_.state.sandbox(id_);
    auto left = read_journal(directory);
    if (!left)
        co_return;
    const bool recorded = std::any_of(left->ids.begin(), left->ids.end(), [&](const auto& id) {
        return std::any_of(state.attachments.begin(), state.attachments.end(),
                           [&](const auto& attachment) { return attachment.id == id; });
    });
    if (!recorded) {
        context_.log(LogLevel::warning, "sandbox " + id_ + ": undoing an unfinished " +
                                            left->operation + " of " +
                                            std::to_string(left->steps.size()) + " steps");
        co_await undo(std::move(left->steps), state, 0);
        co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
    }
    Journal(directory).clear();
    if (caller.gave_up())
        throw Failure(Errc::cancelled, "the request was cancelled while what a killed process left "
                                       "was undone; that is done, nothing else was begun");
}

asio::awaitable<void> Sandbox::undo(std::vector<Step> steps, const SandboxState& state,
                                    std::uint64_t ticket) {
    // From here on nothing may cut it short: the caller's wish to cancel is being carried out.
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    if (!steps.empty())
        progress(ticket, "undo " + std::to_string(steps.size()) + " steps");
    for (auto step = steps.rbegin(); step != steps.rend(); ++step)
        co_await undo_step(*step, state, ticket);
}

asio::awaitable<void> Sandbox::undo_step(Step step, const SandboxState& state,
                                         std::uint64_t ticket) {
    const auto deadline = context_.config.vfio.timeouts.host_write;
    if (const auto* plug = std::get_if<PlugStep>(&step)) {
        co_await unplug(plug->id, state, ticket);
        co_return;
    }
    std::string note;
    auto on_the_host = [&] {
        if (const auto* claim = std::get_if<ClaimStep>(&step)) {
            if (!needed(state, claim->claim))
                context_.claims.drop(claim->claim, id_);
        } else if (const auto* vgpu = std::get_if<CreateVgpuStep>(&step)) {
            const auto uuid = mdev::Uuid::require(vgpu->uuid);
            if (mdev::remove(context_.root, uuid, deadline).outcome == mdev::RemoveOutcome::pending)
                throw Failure(Errc::removal_pending, "vGPU " + vgpu->uuid + " is still held")
                    .remedy("it goes when its holder lets go");
        } else if (const auto* bind = std::get_if<BindStep>(&step)) {
            const auto result = vfio::restore_driver(context_.root, bind->record, deadline);
            if (result.outcome == vfio::RestoreOutcome::left_alone)
                note = result.note;
        }
    };
    co_await on_host(context_.host_pool, on_the_host);
    if (!note.empty()) // here, as the host is called on the loop's thread alone
        context_.log(LogLevel::warning, note);
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

asio::awaitable<void> Sandbox::give_back(const Attachment& attachment, const SandboxState& state) {
    const auto deadline = context_.config.vfio.timeouts.host_write;
    std::string note;
    auto on_the_host = [&] {
        if (attachment.made_vgpu) {
            const auto uuid = mdev::Uuid::require(attachment.uuid);
            if (mdev::remove(context_.root, uuid, deadline).outcome == mdev::RemoveOutcome::pending)
                throw Failure(Errc::removal_pending,
                              "vGPU " + attachment.uuid + " is unplugged but still held")
                    .remedy("detach or release again when its holder has let it go");
        }
        if (attachment.bound) {
            const auto result = vfio::restore_driver(context_.root, *attachment.bound, deadline);
            if (result.outcome == vfio::RestoreOutcome::left_alone)
                note = result.note;
        }
        for (const auto& claim : claims_of(attachment))
            if (!needed(state, claim, attachment.id))
                context_.claims.drop(claim, id_);
    };
    co_await on_host(context_.host_pool, on_the_host);
    if (!note.empty()) // here, as the host is called on the loop's thread alone
        context_.log(LogLevel::warning, note);
}

} // namespace kata_vfio::plugin
