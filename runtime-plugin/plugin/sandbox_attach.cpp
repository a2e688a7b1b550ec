// SPDX-License-Identifier: Apache-2.0
#include "mdev/mdev_create.hpp"
#include "qemu/device_add.hpp"
#include "qemu/hotplug.hpp"
#include "qemu/pci_slots.hpp"
#include "runtime-plugin/plugin/host_call.hpp"
#include "runtime-plugin/plugin/sandbox_locked.hpp"
#include "vfio/driver_binding.hpp"
#include "vfio/pci_function.hpp"

#include <boost/asio/post.hpp>
#include <boost/json.hpp>

namespace kata_vfio::plugin {
namespace asio = boost::asio;
namespace json = boost::json;
namespace {

void append_note(Failure& failure, const std::string& note) {
    failure.remedy(failure.advice().empty() ? note : failure.advice() + "; " + note);
}

} // namespace

asio::awaitable<Outcome> Sandbox::attach(const AttachRequest& request) {
    const auto parsed = parse_device(request.device, request.uuid);
    auto locked = co_await lock();
    if (policy_)
        throw Failure(*policy_);
    if (!connected())
        throw Failure(Errc::qemu_gone, "the connection to sandbox " + id_ + "'s QEMU is lost")
            .remedy("release the sandbox, or close and open it again if its QEMU still runs");
    co_await recover(locked.state);

    auto look = [&] {
        return resolve(context_.root, effective_, context_.claims, locked.state, parsed,
                       request.device);
    };
    auto targets = co_await on_host(context_.host_pool, look);
    if (!targets)
        throw Failure(Errc::internal, "resolve gave nothing");
    auto bus_reply = co_await session_->execute(qemu::query_pci());
    const auto bus = qemu::RootBus::parse(bus_reply);
    if (bus.free_slots().size() < targets->size())
        throw bus.full();
    Outcome outcome;
    if (request.dry_run) {
        outcome.json = plan(*targets);
        co_return outcome;
    }

    Journal journal(context_.state.sandbox(id_));
    std::vector<std::string> ids;
    for (const auto& target : *targets)
        ids.push_back(target.attachment.id);
    journal.begin("attach", ids);

    std::exception_ptr error;
    try {
        co_await take_steps(journal, *targets, bus, request.ticket);
        for (const auto& target : *targets)
            locked.state.attachments.push_back(target.attachment);
        save_state(context_.state.sandbox(id_), locked.state);
    } catch (...) {
        error = std::current_exception();
    }
    if (!error) {
        journal.clear();
        for (auto& target : *targets)
            outcome.attachments.emplace_back(id_, std::move(target.attachment));
        co_return outcome;
    }

    auto failure = failure_from(error);
    std::exception_ptr undo_error;
    try {
        co_await undo(journal.steps(), locked.state, request.ticket);
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

asio::awaitable<void> Sandbox::take_steps(Journal& journal, std::vector<Target>& targets,
                                          const qemu::RootBus& bus, std::uint64_t ticket) {
    // Everything on the host first, for all of a group, then QEMU.
    auto claim_all = [&] {
        for (const auto& target : targets)
            for (const auto& claim : target.claims) {
                journal.intend(ClaimStep{claim});
                context_.claims.take(claim, id_);
                journal.done();
            }
    };
    co_await on_host(context_.host_pool, claim_all);
    for (auto& target : targets)
        co_await take_step(journal, target, ticket);
    for (auto& target : targets) {
        if (co_await cancelled())
            throw Failure(Errc::cancelled, "the attach was cancelled before " +
                                               target.attachment.id + " was plugged");
        qemu::VfioDevice device(target.attachment.id, target.attachment.sysfsdev);
        const Step plug = PlugStep{target.attachment.id};
        progress(ticket, text(plug));
        journal.intend(plug);
        try {
            const auto plugged = co_await qemu::plug(*session_, device, bus);
            journal.done();
            target.attachment.guest_address = plugged.guest_address;
        } catch (const qemu::HotplugFailure& failure) {
            if (failure.left() == qemu::DeviceState::absent)
                journal.withdraw();
            throw;
        }
    }
}

asio::awaitable<void> Sandbox::take_step(Journal& journal, Target& target, std::uint64_t ticket) {
    if (co_await cancelled())
        throw Failure(Errc::cancelled, "the attach was cancelled before the host was changed");
    auto& attachment = target.attachment;
    const auto& timeouts = context_.config.vfio.timeouts;
    if (attachment.made_vgpu) {
        const auto uuid = mdev::Uuid::require(attachment.uuid);
        const Step step =
            CreateVgpuStep{attachment.uuid, attachment.host_address, attachment.mdev_type};
        progress(ticket, text(step));
        auto create = [&] {
            journal.intend(step);
            const auto made = [&] {
                try {
                    return mdev::create(context_.root, attachment.host_address,
                                        attachment.mdev_type, uuid, timeouts.device_node);
                } catch (...) {
                    // It left nothing; and a UUID that turned out to exist is somebody else's.
                    journal.withdraw();
                    throw;
                }
            }();
            journal.done();
            attachment.iommu_group = made.iommu_group;
            attachment.sysfsdev = made.sysfs.string();
        };
        co_await on_host(context_.host_pool, create);
    } else if (target.needs_bind) {
        const auto address = vfio::PciAddress::require(attachment.host_address);
        auto bind = [&] {
            vfio::BindOptions options;
            options.deadline = timeouts.host_write;
            options.before_first_write = [&](const vfio::BindRecord& record) {
                const Step step = BindStep{record};
                // This is a thread of the pool, and the host is called on the loop's alone.
                asio::post(context_.io,
                           [this, ticket, line = text(step)] { progress(ticket, line); });
                journal.intend(step);
            };
            auto record = vfio::bind_to_vfio(context_.root, address, options);
            if (record.changed) {
                journal.done();
                attachment.bound = std::move(record);
            }
        };
        co_await on_host(context_.host_pool, bind);
    }
}

json::object Sandbox::plan(const std::vector<Target>& targets) const {
    json::array steps;
    const auto add = [&](const Step& step) {
        auto entry = to_json(step);
        entry["text"] = text(step);
        steps.push_back(std::move(entry));
    };
    json::array attachments;
    for (const auto& target : targets) {
        for (const auto& claim : target.claims)
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
    for (const auto& target : targets) {
        const Step plug = PlugStep{target.attachment.id};
        auto entry = to_json(plug);
        entry["text"] = text(plug);
        const qemu::VfioDevice device(target.attachment.id, target.attachment.sysfsdev);
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
