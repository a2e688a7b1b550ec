// SPDX-License-Identifier: Apache-2.0
#include "mdev/mdev_create.hpp"
#include "qemu/device_add.hpp"
#include "qemu/hotplug.hpp"
#include "qemu/inventory.hpp"
#include "qemu/pci_slots.hpp"
#include "runtime-plugin/plugin/crash_point.hpp"
#include "runtime-plugin/plugin/host_call.hpp"
#include "runtime-plugin/plugin/sandbox_locked.hpp"
#include "vfio/driver_binding.hpp"
#include "vfio/pci_function.hpp"
#include "vfio/vfio_node.hpp"

#include <boost/asio/post.hpp>
#include <boost/json.hpp>

#include <algorithm>
#include <utility>

namespace kata_vfio::plugin {
namespace asio = boost::asio;
namespace json = boost::json;
namespace {

void append_note(Failure& failure, const std::string& note) {
    failure.remedy(failure.advice().empty() ? note : failure.advice() + "; " + note);
}

} // namespace

asio::awaitable<Outcome> Sandbox::attach(const AttachRequest& request, const Caller& caller) {
    auto locked = co_await lock();
    if (policy_)
        throw Failure(*policy_);
    co_await require_connection();
    co_await recover(locked.state, caller);

    Outcome outcome;
    Journal journal(context_.state.sandbox(id_));
    std::exception_ptr error;
    try {
        qemu::RootBus bus;
        auto targets = co_await prepare(journal, locked.state, request, caller, bus);
        if (request.dry_run) {
            outcome.json = plan(targets, bus);
            co_return outcome;
        }
        // The new state is written while QEMU works, and put in its place when it has.
        std::optional<Replacement> record;
        std::exception_ptr unwritten;
        const std::function<void()> write_record = [&] {
            unwritten = nullptr; // it runs again when another slot is tried
            try {
                auto attached = locked.state;
                for (const auto& target : targets)
                    attached.attachments.push_back(target.attachment);
                record.emplace(prepare_state(context_.state.sandbox(id_), attached));
            } catch (...) {
                unwritten = std::current_exception();
            }
        };
        co_await plug(journal, targets, caller, write_record);
        if (unwritten)
            std::rethrow_exception(unwritten);
        if (const auto unsynced = commit_state(*record))
            context_.log(LogLevel::warning, "sandbox " + id_ + ": " + unsynced->what());
        crash_point(CrashPoint::attach_recorded);
        for (auto& target : targets)
            outcome.attachments.emplace_back(id_, std::move(target.attachment));
    } catch (...) {
        error = std::current_exception();
    }
    if (!error) {
        try {
            journal.clear();
        } catch (const Failure& failure) {
            // It is attached and on record: the next call finds that, and clears the journal.
            context_.log(LogLevel::warning, "sandbox " + id_ + ": " + failure.what());
        }
        co_return outcome;
    }
    if (!journal.begun())
        std::rethrow_exception(error);

    auto failure = failure_from(error);
    std::exception_ptr undo_error;
    try {
        LeftJournal left{"attach", {}, journal.steps()}; // no ids: it is not on record
        co_await undo(std::move(left), locked.state, caller.ticket);
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
        if (!attachment.unplugged && inventory.state(attachment.id) != qemu::LifeState::present)
            context_.log(LogLevel::warning, "sandbox " + id_ + ": QEMU has " + attachment.id +
                                                " no more, and nobody here has detached it: detach "
                                                "it to give its host side back");
    co_return inventory.root_bus();
}

asio::awaitable<std::vector<Target>> Sandbox::prepare(Journal& journal, const SandboxState& state,
                                                      const AttachRequest& request,
                                                      const Caller& caller, qemu::RootBus& bus) {
    const auto parsed = parse_device(request.device, request.uuid);
    // A picture of its own: bus_ changes with what QEMU says and is gone with its connection, while
    // a thread of the pool looks at this one.
    if (bus_ && bus_->next_free())
        bus = *bus_;
    else
        bus = co_await ask_bus(state);
    // QEMU answers while the host is at work: no round trip of its own.
    const auto session = monitor_->session(); // a close() meanwhile must not take it away
    std::optional<qemu::CapabilityProbe> probe;
    if (!capabilities_ && host_offers_iommufd())
        probe.emplace(*session);
    std::vector<Target> targets;
    // All in one trip: each one to the pool and back costs two wake-ups of a thread.
    auto look_and_take = [&] {
        targets =
            resolve(context_.root, effective_, context_.claims, state, parsed, request.device);
        const bool room = targets.size() <= bus.free_slots().size();
        if (room && !request.dry_run)
            take_host_steps(journal, targets, claim_of(state), caller);
        if (room && request.dry_run)
            expect_cdevs(targets);
        return room;
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

void Sandbox::take_host_steps(Journal& journal, std::vector<Target>& targets, const Claim& owner,
                              const Caller& caller) {
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
    context_.claims.take(claims, owner);
    crash_point(CrashPoint::attach_claims_taken);
    journal.done();
    // Everything on the host first, for all of a group, then QEMU.
    for (auto& target : targets) {
        refuse_if_cancelled();
        take_host_step(journal, target, caller);
        if (host_offers_iommufd())
            target.cdev = vfio::cdev_node(context_.root, target.attachment.sysfsdev).has_value();
    }
}

void Sandbox::take_host_step(Journal& journal, Target& target, const Caller& caller) {
    auto& attachment = target.attachment;
    const auto& timeouts = context_.config.vfio.timeouts;
    const auto begin = [&](const Step& step) {
        // This is a thread of the pool, and the host is called on the loop's alone.
        asio::post(context_.io, [self = shared_from_this(), ticket = caller.ticket,
                                 line = text(step)] { self->progress(ticket, line); });
        journal.intend(step);
    };
    if (attachment.made_vgpu) {
        begin(CreateVgpuStep{attachment.uuid, attachment.host_address, attachment.mdev_type});
        crash_point(CrashPoint::attach_create_intended);
        try {
            const auto made =
                mdev::make(context_.root, attachment.host_address, attachment.mdev_type,
                           mdev::Uuid::require(attachment.uuid), timeouts.device_node);
            attachment.iommu_group = made.iommu_group;
            attachment.sysfsdev = made.sysfs.string();
            crash_point(CrashPoint::attach_created);
        } catch (const Failure& failure) {
            // A UUID that turned out to exist is somebody else's, and what left nothing is not to
            // be undone. What is there all the same was made, and not brought to its end.
            if (failure.code() == Errc::uuid_exists ||
                !mdev::find_device(context_.root, mdev::Uuid::require(attachment.uuid)))
                journal.withdraw();
            throw;
        }
        journal.done();
    } else if (target.needs_bind) {
        vfio::BindOptions options;
        options.deadline = timeouts.host_write;
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

asio::awaitable<void> Sandbox::plug(Journal& journal, std::vector<Target>& targets,
                                    const Caller& caller, const std::function<void()>& all_sent) {
    const bool cdevs = takes_cdevs(targets);
    for (auto& target : targets) {
        auto& attachment = target.attachment;
        if (caller.gave_up())
            throw Failure(Errc::cancelled,
                          "the attach was cancelled before " + attachment.id + " was plugged");
        qemu::VfioDevice device(attachment.id, attachment.sysfsdev);
        const Step step = PlugStep{attachment.id};
        progress(caller.ticket, text(step));
        journal.intend(step);
        crash_point(CrashPoint::attach_plug_intended);
        auto known = std::exchange(bus_, std::nullopt); // until it is seen to be right
        std::function<void(const qemu::Plugged&)> sent = [&](const qemu::Plugged& place) {
            attachment.guest_address = place.guest_address;
            if (&target == &targets.back())
                all_sent();
        };
        const auto plugged = co_await plug_one(journal, device, cdevs, known, sent);
        crash_point(CrashPoint::attach_plugged);
        journal.done();
        monitor_->plugged(plugged.id);
        // Another slot than the one we knew as free: somebody else was at the bus.
        if (!bus_ && known && plugged.slot == known->next_free()) {
            known->put(plugged.id, plugged.slot, plugged.function);
            bus_ = std::move(known);
        }
    }
}

asio::awaitable<qemu::Plugged> Sandbox::plug_one(Journal& journal, qemu::VfioDevice device,
                                                 bool cdev, std::optional<qemu::RootBus> known,
                                                 std::function<void(const qemu::Plugged&)> sent) {
    const auto monitor = monitor_; // a close() meanwhile must not take it away
    const auto id = device.id;
    std::optional<qemu::HotplugFailure> failed;
    for (const bool again : {false, true}) {
        const auto session = monitor->session();
        try {
            auto plugged = co_await plug_device(session, device, cdev, std::move(known), sent);
            co_return plugged;
        } catch (const qemu::HotplugFailure& failure) {
            failed = failure;
        }
        const bool lost = !session->running();
        const bool absent = failed->left() == qemu::DeviceState::absent;
        if (!lost || (again && absent) ||
            (!absent && failed->left() != qemu::DeviceState::unknown)) {
            if (absent)
                journal.withdraw();
            throw *failed;
        }
        // The connection was lost over it.
        try {
            co_await monitor->ready();
        } catch (const Failure& why) {
            append_note(*failed, std::string("connecting again failed: ") + why.what());
        }
        if (!monitor->connected()) {
            if (absent)
                journal.withdraw();
            throw *failed;
        }
        if (!absent)
            break;
        known = std::nullopt; // nothing of it had been sent: it is sent now
    }
    // QEMU answers the questions of a reconnect behind whatever it was at, so what they say it has
    // is what became of the device.
    const auto& bus = monitor->last_known().bus;
    const auto* found = bus ? bus->find(id) : nullptr;
    if (!found && !monitor->last_known().devices.contains(id)) {
        journal.withdraw();
        append_note(*failed, "connected again: QEMU does not have it");
        throw qemu::HotplugFailure(*failed, qemu::DeviceState::absent);
    }
    if (!found) { // in QEMU, but not on the root bus: nothing we have plugged, and undoing decides
        append_note(*failed, "connected again: QEMU has it elsewhere than on the root bus");
        throw *failed;
    }
    context_.log(LogLevel::info, "sandbox " + id_ + ": connected again: QEMU has " + id);
    const qemu::Plugged place{id, found->slot, found->function, found->guest_address()};
    sent(place);
    co_return place;
}

json::object Sandbox::plan(const std::vector<Target>& targets, const qemu::RootBus& bus) const {
    json::array steps;
    const auto add = [&](const Step& step) {
        auto entry = to_json(step);
        entry["text"] = text(step);
        steps.push_back(std::move(entry));
    };
    json::array attachments;
    for (const auto& target : targets) {
        for (const auto& claim : claims_of(target.attachment))
            add(ClaimStep{claim});
        attachments.push_back(attachment_json(id_, target.attachment));
    }
    for (const auto& target : targets) {
        const auto& attachment = target.attachment;
        if (attachment.made_vgpu)
            add(CreateVgpuStep{attachment.uuid, attachment.host_address, attachment.mdev_type});
        if (target.needs_bind) {
            const auto address = vfio::PciAddress::require(attachment.host_address);
            const auto found = vfio::read_function(context_.root, address);
            vfio::BindRecord record;
            record.address = address;
            record.earlier_driver = found.driver;
            record.earlier_override = found.driver_override;
            record.changed = true;
            add(BindStep{record});
        }
    }
    const bool cdevs = takes_cdevs(targets);
    const auto slots = bus.free_slots(); // as many as there are targets: see prepare()
    auto free = slots.begin();
    for (const auto& target : targets) {
        const Step plug = PlugStep{target.attachment.id};
        auto entry = to_json(plug);
        entry["text"] = text(plug);
        qemu::VfioDevice device(target.attachment.id, target.attachment.sysfsdev);
        if (cdevs) {
            device.iommufd = qemu::iommufd_id;
            if (!iommufd_added_ && &target == &targets.front()) {
                const auto object = qemu::add_iommufd();
                entry["qmp_before"] =
                    json::object{{"execute", object.name}, {"arguments", object.arguments}};
            }
        }
        device.addr = qemu::slot_text(*free++, 0);
        entry["qmp"] =
            json::object{{"execute", "device_add"}, {"arguments", qemu::encode_device_add(device)}};
        steps.push_back(std::move(entry));
    }
    return {{"sandbox", id_},
            {"dry_run", true},
            {"attachments", std::move(attachments)},
            {"steps", std::move(steps)}};
}

} // namespace kata_vfio::plugin
