// SPDX-License-Identifier: Apache-2.0
#include "mdev/mdev_create.hpp"
#include "qemu/device_add.hpp"
#include "qemu/hotplug.hpp"
#include "qemu/inventory.hpp"
#include "qemu/pci_slots.hpp"
#include "runtime-plugin/plugin/crash_point.hpp"
#include "runtime-plugin/plugin/host_call.hpp"
#include "runtime-plugin/plugin/limits.hpp"
#include "runtime-plugin/plugin/note.hpp"
#include "runtime-plugin/plugin/sandbox_locked.hpp"
#include "runtime-plugin/plugin/virtual_functions.hpp"
#include "vfio/driver_binding.hpp"
#include "vfio/iommu_group.hpp"
#include "vfio/pci_function.hpp"
#include "vfio/sysfs_read.hpp"
#include "vfio/vfio_node.hpp"

#include <boost/asio/post.hpp>
#include <boost/json.hpp>

#include <algorithm>
#include <utility>

namespace kata_vfio::plugin {
namespace asio = boost::asio;
namespace json = boost::json;
namespace {

/// It is a function, or a node, behind which one may be: more has to be known of the guest then.
bool may_be_function(const DeviceRequest& request) {
    return !std::holds_alternative<VgpuRequest>(request) &&
           !std::holds_alternative<MdevRequest>(request);
}

void require_keepable(DeviceRequest& request) {
    auto* vgpu = std::get_if<VgpuRequest>(&request);
    if (!vgpu)
        throw Failure(Errc::invalid_argument, "only a vGPU that is made for it can be kept")
            .remedy("leave keep out: what exists already stays as it is when it is detached, and a "
                    "function goes back to its driver");
    vgpu->keep = true;
}

} // namespace

asio::awaitable<Outcome> Sandbox::attach(const AttachRequest& request, const Caller& caller) {
    auto locked = co_await lock();
    if (policy_)
        throw Failure(*policy_);
    co_await require_connection();
    co_await recover(locked.state, caller);
    auto outcome = co_await attach_locked(locked.state, request, caller);
    co_return outcome;
}

asio::awaitable<Outcome> Sandbox::attach_locked(SandboxState& state, const AttachRequest& request,
                                                const Caller& caller) {
    Outcome outcome;
    Journal journal(context_.state.sandbox(id_));
    std::exception_ptr error;
    try {
        qemu::RootBus bus;
        auto targets = co_await prepare(journal, state, request, caller, bus);
        if (request.dry_run) {
            outcome.json = plan(targets, bus);
            co_return outcome;
        }
        // The new state is written while QEMU works, and put in its place when it has; the answer
        // is made meanwhile too.
        std::optional<Replacement> record;
        std::exception_ptr unwritten;
        auto attached = state;
        const std::function<void()> write_record = [&] {
            unwritten = nullptr; // it runs again when another slot is tried
            try {
                attached = state;
                outcome.attachments.clear();
                for (auto& attachment : attachments_of(targets)) {
                    outcome.attachments.emplace_back(id_, attachment);
                    attached.attachments.push_back(std::move(attachment));
                }
                record.emplace(prepare_state(context_.state.sandbox(id_), attached));
                outcome.json = {{"sandbox", id_}, {"attachments", attachments_json(outcome)}};
            } catch (...) {
                unwritten = std::current_exception();
            }
        };
        co_await plug(journal, targets, caller, write_record);
        if (unwritten)
            std::rethrow_exception(unwritten);
        commit(*record, attached);
        crash_point(CrashPoint::attach_recorded);
        state = std::move(attached);
    } catch (...) {
        error = std::current_exception();
    }
    if (error)
        co_await fail_attach(journal, state, error, caller);
    clear(journal);
    co_return outcome;
}

void Sandbox::clear(Journal& journal) const {
    try {
        journal.clear();
    } catch (const Failure& failure) {
        // It is attached and on record: the next call finds that, and clears the journal.
        context_.log(LogLevel::warning, "sandbox " + id_ + ": " + failure.what());
    }
}

asio::awaitable<void> Sandbox::fail_attach(Journal& journal, const SandboxState& state,
                                           std::exception_ptr error, const Caller& caller) {
    if (!journal.begun())
        std::rethrow_exception(error);
    auto failure = failure_from(error);
    std::exception_ptr undo_error;
    try {
        LeftJournal left{journal.operation(), {}, journal.steps()}; // no ids: it is not on record
        co_await undo(std::move(left), state, caller.ticket);
        journal.clear();
    } catch (...) {
        undo_error = std::current_exception();
    }
    if (undo_error) {
        const auto second = failure_from(undo_error);
        context_.log(LogLevel::error, "sandbox " + id_ + ": undoing the attach: " + second.what());
        append_note(failure, std::string("undoing stopped at: ") + second.what() +
                                 "; the next call on this sandbox goes on with it");
    }
    throw failure;
}

asio::awaitable<qemu::RootBus> Sandbox::ask_bus(const SandboxState& state) {
    const auto session = monitor_->session(); // a reconnect meanwhile must not take it away
    const auto inventory = co_await qemu::inventory(*session);
    bus_ = inventory.root_bus();
    for (const auto& attachment : state.attachments)
        if (attachment.plugged() && inventory.state(attachment.id) != qemu::LifeState::present)
            context_.log(LogLevel::warning, "sandbox " + id_ + ": QEMU has " + attachment.id +
                                                " no more, and nobody here has detached it: detach "
                                                "it to give its host side back");
    co_return inventory.root_bus();
}

asio::awaitable<std::vector<Target>> Sandbox::prepare(Journal& journal, const SandboxState& state,
                                                      const AttachRequest& request,
                                                      const Caller& caller, qemu::RootBus& bus) {
    auto parsed = parse_device(request.device, request.uuid);
    if (request.keep)
        require_keepable(parsed);
    const auto session = monitor_->session(); // a close() meanwhile must not take it away
    // On its way before the bus is asked for, so that it costs no round trip of its own.
    std::optional<qemu::GuestProbe> guest;
    if (may_be_function(parsed))
        guest.emplace(*session, qemu::GuestProbe::About::everything);
    else if (!kvm_)
        guest.emplace(*session, qemu::GuestProbe::About::kvm);
    // A picture of its own: bus_ changes with what QEMU says and is gone with its connection, while
    // a thread of the pool looks at this one.
    if (bus_ && bus_->next_free())
        bus = *bus_;
    else
        bus = co_await ask_bus(state);
    qemu::GuestFacts facts;
    if (guest) {
        facts = co_await guest->finish();
        kvm_ = facts.kvm;
    }
    // QEMU answers while the host is at work: no round trip of its own.
    std::optional<qemu::CapabilityProbe> probe;
    if (!capabilities_ && host_offers_iommufd())
        probe.emplace(*session);
    std::vector<Target> targets;
    // All in one trip: each one to the pool and back costs two wake-ups of a thread.
    auto look_and_take = [&] {
        targets = resolve(context_.root, effective_, context_.state, context_.claims, state, parsed,
                          request.device, kvm_);
        if (targets.size() > bus.free_slots().size())
            return false;
        require_limits(targets, state, facts);
        if (request.dry_run)
            expect_cdevs(targets);
        else
            take_host_steps(journal, targets, state, caller);
        return true;
    };
    auto room = co_await on_host(context_.host_pool, look_and_take);
    if (!*room) { // what we remember of the bus may be out of date
        bus = co_await ask_bus(state);
        room = co_await on_host(context_.host_pool, look_and_take);
    }
    if (!*room)
        throw bus.full(targets.size());
    if (probe)
        co_await take_capabilities(*probe);
    co_return targets;
}

void Sandbox::require_limits(const std::vector<Target>& targets, const SandboxState& state,
                             const qemu::GuestFacts& guest) const {
    std::vector<vfio::PciFunction> functions;
    for (const auto& target : targets)
        if (target.enables)
            functions.emplace_back(); // its BARs are not known before it is there
        else if (target.attachment.kind == Kind::pci)
            functions.push_back(vfio::read_function(
                context_.root, vfio::PciAddress::require(target.attachment.host_address)));
    // A vGPU pins what its driver maps, page by page, and has no BARs that the root bus must place.
    if (functions.empty())
        return;
    const bool pinned =
        std::any_of(state.attachments.begin(), state.attachments.end(), [](const auto& attached) {
            return attached.kind == Kind::pci && attached.plugged();
        });
    const auto entries = vfio::number_attribute(
        context_.root.sys("module/vfio_iommu_type1/parameters/dma_entry_limit"));
    if (const auto failure =
            limit_in_the_way(read_limits(context_.root, state.qemu_pid), guest, functions, pinned,
                             entries.value_or(default_dma_entries)))
        throw Failure(*failure);
}

void Sandbox::take_host_steps(Journal& journal, std::vector<Target>& targets,
                              const SandboxState& state, const Caller& caller) {
    const auto refuse_if_cancelled = [&] {
        if (caller.gave_up())
            throw Failure(Errc::cancelled, "the attach was cancelled before the host was changed");
    };
    refuse_if_cancelled();
    std::vector<std::string> ids, claims;
    std::vector<Step> steps;
    for (const auto& target : targets) {
        ids.push_back(target.attachment.id);
        for (const auto& claim : claims_of(target.attachment)) {
            claims.push_back(claim);
            steps.emplace_back(ClaimStep{claim});
        }
    }
    crash_point(CrashPoint::attach_resolved);
    journal.begin("attach", ids);
    journal.intend(steps);
    crash_point(CrashPoint::attach_claims_intended);
    context_.claims.take(claims, claim_of(state));
    crash_point(CrashPoint::attach_claims_taken);
    journal.done();
    // Everything on the host first, for all of a group, then QEMU.
    for (auto& target : targets) {
        refuse_if_cancelled();
        take_host_step(journal, target, state, caller);
        if (host_offers_iommufd())
            target.cdev = vfio::cdev_node(context_.root, target.attachment.sysfsdev).has_value();
        open_node_to_qemu(journal, target, targets, state, caller);
        require_reach(target);
    }
}

void Sandbox::make_vgpu(Journal& journal, Target& target, const SandboxState& state,
                        const std::function<void(const Step&)>& begin) {
    auto& attachment = target.attachment;
    const auto uuid = mdev::Uuid::require(attachment.uuid);
    for (;;) {
        begin(CreateVgpuStep{attachment.uuid, attachment.host_address, attachment.mdev_type});
        crash_point(CrashPoint::attach_create_intended);
        try {
            const auto made =
                mdev::make(context_.root, attachment.host_address, attachment.mdev_type, uuid,
                           context_.config.vfio.timeouts.device_node);
            attachment.iommu_group = made.iommu_group;
            attachment.sysfsdev = made.sysfs.string();
            crash_point(CrashPoint::attach_created);
            journal.done();
            return;
        } catch (const Failure& failure) {
            // A UUID that turned out to exist is somebody else's, and what left nothing is not to
            // be undone. What is there all the same was made, and not brought to its end.
            if (failure.code() == Errc::uuid_exists || !mdev::find_device(context_.root, uuid))
                journal.withdraw();
            if (failure.code() != Errc::no_instances ||
                !place_elsewhere(context_.root, effective_, state, target))
                throw;
        }
    }
}

void Sandbox::enable_function(Journal& journal, Target& target, const SandboxState& state,
                              const std::function<void(const Step&)>& begin) {
    auto& attachment = target.attachment;
    const auto address = vfio::PciAddress::require(attachment.host_address);
    begin(EnableFunctionsStep{attachment.vf_of});
    enable_functions(context_.root, context_.state, vfio::PciAddress::require(attachment.vf_of),
                     static_cast<unsigned>(effective_.sriov_functions),
                     context_.config.vfio.timeouts.host_write);
    crash_point(CrashPoint::sriov_enabled);
    journal.done();
    const auto found = vfio::read_function(context_.root, address);
    const int group = vfio::group_of(context_.root, address);
    vfio::require_viable(context_.root, vfio::read_group(context_.root, group), {address});
    attachment.iommu_group = group;
    target.needs_bind = !found.on_vfio;
    journal.intend(ClaimStep{group_claim(group)});
    context_.claims.take({group_claim(group)}, claim_of(state));
    journal.done();
}

void Sandbox::take_host_step(Journal& journal, Target& target, const SandboxState& state,
                             const Caller& caller) {
    auto& attachment = target.attachment;
    const auto& timeouts = context_.config.vfio.timeouts;
    const std::function<void(const Step&)> begin = [&](const Step& step) {
        // This is a thread of the pool, and the host is called on the loop's alone.
        context_.inbox.post([self = shared_from_this(), ticket = caller.ticket, line = text(step)] {
            self->progress(ticket, line);
        });
        journal.intend(step);
    };
    if (target.enables)
        enable_function(journal, target, state, begin);
    if (attachment.made_vgpu) {
        make_vgpu(journal, target, state, begin);
    } else if (target.needs_bind) {
        vfio::BindOptions options;
        options.deadline = timeouts.host_write;
        if (!attachment.vf_of.empty())
            options.driver = vfio::vfio_driver_for(
                context_.root, vfio::read_function(context_.root, vfio::PciAddress::require(
                                                                      attachment.host_address))
                                   .modalias);
        options.before_first_write = [&](const vfio::BindRecord& record) {
            begin(BindStep{record});
            crash_point(CrashPoint::attach_bind_intended);
        };
        auto record = vfio::bind_to_vfio(
            context_.root, vfio::PciAddress::require(attachment.host_address), options);
        if (record.changed) {
            crash_point(CrashPoint::attach_bound);
            journal.done();
            attachment.bound = std::move(record);
        }
    }
}

} // namespace kata_vfio::plugin
