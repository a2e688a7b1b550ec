// SPDX-License-Identifier: Apache-2.0
// The devices that a sandbox asks for itself, by annotation or configuration: made when it is
// opened, given to QEMU once its guest has been started, and given back with the sandbox, its QEMU
// or its owner.
#include "config/base/text.hpp"
#include "qemu/machine.hpp"
#include "runtime-plugin/plugin/crash_point.hpp"
#include "runtime-plugin/plugin/host_call.hpp"
#include "runtime-plugin/plugin/sandbox_locked.hpp"
#include "vfio/vfio_node.hpp"

#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>

namespace kata_vfio::plugin {
namespace asio = boost::asio;
namespace {

/// Whether QEMU can be given a device that can be taken out again. Before the guest's first
/// instruction a device_del wedges the device until a reset (RunState::before_start()), and a QEMU
/// that waits for a migration gets its devices from there.
bool takes_devices(const qemu::RunState& state) {
    return !state.before_start() && state.status != "preconfig" && state.status != "inmigrate";
}

} // namespace

std::vector<Due> Sandbox::own_devices() const {
    std::vector<Due> due;
    // The text is an annotation's: what it names must be of its own kind, a type no node, UUID or
    // function that exists.
    if (effective_.vgpu.wanted()) {
        const auto device = vgpu_device(effective_.vgpu);
        if (!std::holds_alternative<VgpuRequest>(parse_device(device)))
            throw Failure(Errc::malformed_device,
                          "vgpu_type " + quoted(effective_.vgpu.type) + " is no mdev type")
                .remedy("name one that kata-vfio types shows");
        due.push_back({device, effective_.vgpu.keep});
    }
    if (!effective_.gpu.empty()) {
        if (!vfio::PciAddress::parse(effective_.gpu))
            throw Failure(Errc::malformed_address,
                          "gpu " + quoted(effective_.gpu) + " is no PCI address")
                .remedy("write it as lspci -D has it, 0000:00:02.0");
        due.push_back({effective_.gpu, false});
    }
    return due;
}

asio::awaitable<void> Sandbox::take_own(SandboxState& state, const Caller& caller) {
    const auto due = state.due;
    for (const auto& each : due)
        co_await prepare_own(state, each, caller);
    const auto waits = [](const Attachment& attachment) { return attachment.prepared; };
    if (std::none_of(state.attachments.begin(), state.attachments.end(), waits))
        co_return;
    has_own_ = true;
    const auto session = monitor_->session(); // a close() meanwhile must not take it away
    const auto guest = co_await qemu::run_state(*session);
    awaits_guest_ = !takes_devices(guest);
    if (!awaits_guest_)
        co_await plug_prepared(state, caller);
    else
        progress(caller.ticket,
                 "the guest is " + guest.status + ": its own devices are plugged when it runs");
}

asio::awaitable<void> Sandbox::prepare_own(SandboxState& state, const Due& due,
                                           const Caller& caller) {
    AttachRequest request;
    request.device = due.device;
    request.keep = due.keep;
    Journal journal(context_.state.sandbox(id_));
    std::exception_ptr error;
    auto prepared = state;
    try {
        qemu::RootBus bus;
        auto targets = co_await prepare(journal, state, request, caller, bus);
        for (auto& attachment : attachments_of(targets)) {
            attachment.own = true;
            attachment.prepared = true;
            prepared.attachments.push_back(std::move(attachment));
        }
        std::erase(prepared.due, due);
        save(prepared);
    } catch (...) {
        error = std::current_exception();
    }
    if (error)
        co_await fail_attach(journal, state, error, caller);
    state = std::move(prepared);
    crash_point(CrashPoint::own_prepared);
    clear(journal);
}

asio::awaitable<void> Sandbox::plug_prepared(SandboxState& state, const Caller& caller) {
    std::vector<Target> targets;
    std::vector<std::string> ids;
    for (const auto& attachment : state.attachments)
        if (attachment.prepared && !attachment.unplugged) {
            Target target;
            target.attachment = attachment;
            target.attachment.prepared = false;
            ids.push_back(attachment.id);
            targets.push_back(std::move(target));
        }
    if (targets.empty())
        co_return;
    auto look = [&] {
        share_slots(targets);
        if (host_offers_iommufd())
            for (auto& target : targets)
                target.cdev =
                    vfio::cdev_node(context_.root, target.attachment.sysfsdev).has_value();
    };
    co_await on_host(context_.host_pool, look);
    if (!capabilities_ && host_offers_iommufd()) {
        const auto session = monitor_->session();
        qemu::CapabilityProbe probe(*session);
        co_await take_capabilities(probe);
    }
    Journal journal(context_.state.sandbox(id_));
    std::exception_ptr error;
    auto plugged = state;
    const std::function<void()> nothing = [] {};
    try {
        journal.begin(plug_operation, ids);
        co_await plug(journal, targets, caller, nothing);
        for (auto& target : targets)
            *std::find_if(plugged.attachments.begin(), plugged.attachments.end(),
                          [&](const auto& each) { return each.id == target.attachment.id; }) =
                target.attachment;
        save(plugged);
    } catch (...) {
        error = std::current_exception();
    }
    if (error)
        co_await fail_attach(journal, state, error, caller);
    state = std::move(plugged);
    crash_point(CrashPoint::own_plugged);
    clear(journal);
}

asio::awaitable<void> Sandbox::take_back_own(SandboxState& state, const Caller& caller) {
    // What it was to have is given back even where the caller has given up.
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    const Caller whoever{caller.ticket, nullptr};
    std::optional<Failure> left;
    try {
        left = co_await give_all_back(state, Patience::waits, whoever);
    } catch (const Failure& failure) {
        left = failure;
    }
    if (left) {
        context_.log(LogLevel::error, "sandbox " + id_ +
                                          " could not be opened, and stays on record "
                                          "for what it has: " +
                                          left->what());
        co_return;
    }
    context_.state.remove_sandbox(id_);
}

asio::awaitable<void> Sandbox::tend(const Caller& caller) {
    if (!has_own_)
        co_return;
    auto locked = co_await lock_when_free();
    auto& state = locked.state;
    if (connected()) {
        co_await recover(state, caller);
        co_await take_own(state, caller);
        co_return;
    }
    co_await await_exit(state);
    co_await recover(state, caller);
    std::vector<std::string> own;
    for (const auto& attachment : state.attachments)
        if (attachment.own)
            own.push_back(attachment.id);
    std::reverse(own.begin(), own.end());
    for (const auto& id : own)
        co_await detach_one(state, id, caller.ticket);
    has_own_ = false;
    context_.log(LogLevel::info, "sandbox " + id_ + ": its own devices are given back");
}

} // namespace kata_vfio::plugin
