// SPDX-License-Identifier: Apache-2.0
#include "config/base/text.hpp"
#include "runtime-plugin/plugin/crash_point.hpp"
#include "runtime-plugin/plugin/device_request.hpp"
#include "runtime-plugin/plugin/host_call.hpp"
#include "runtime-plugin/plugin/sandbox_locked.hpp"
#include "vfio/vfio_node.hpp"

#include <boost/json.hpp>

#include <algorithm>

namespace kata_vfio::plugin {
namespace asio = boost::asio;
namespace {

/// `name` as a VFIO node or a MAJOR:MINOR; nullopt when it is neither.
std::optional<DeviceRequest> as_node(const std::string& name) {
    try {
        auto request = parse_device(name);
        if (std::holds_alternative<NodeRequest>(request) ||
            std::holds_alternative<DevnumRequest>(request))
            return request;
    } catch (const Failure&) { // a qdev id, or nothing at all: named() tells them apart
    }
    return std::nullopt;
}

/// The BDFs and UUIDs behind a node, which are names of a device as well; none when it is of a
/// device that is not here.
std::vector<std::string> behind(const vfio::HostRoot& root, const DeviceRequest& request) {
    std::vector<std::string> names;
    try {
        const auto* number = std::get_if<DevnumRequest>(&request);
        const auto target = number ? vfio::resolve_devnum(root, number->major, number->minor)
                                   : vfio::resolve_node(root, std::get<NodeRequest>(request).path);
        for (const auto& address : target.functions)
            names.push_back(address.text());
        names.insert(names.end(), target.mdevs.begin(), target.mdevs.end());
    } catch (const Failure&) { // then it is not attached, which is what the caller says
    }
    return names;
}

/// The attachments a person means by `name`, whose device has the names `others` too; a group's
/// functions go together.
std::vector<std::string> named(const SandboxState& state, const std::string& name,
                               const std::vector<std::string>& others) {
    std::vector<std::string> ids, of_type, all;
    for (const auto& attachment : state.attachments) {
        all.push_back(attachment.id + " (" + quoted(attachment.device) + ")");
        if (attachment.answers_to(name) ||
            std::any_of(others.begin(), others.end(),
                        [&](const auto& other) { return attachment.answers_to(other); }))
            ids.push_back(attachment.id);
        else if (!attachment.mdev_type.empty() &&
                 (attachment.mdev_type == name ||
                  attachment.mdev_type + "@" + attachment.host_address == name))
            of_type.push_back(attachment.id);
    }
    if (!ids.empty()) {
        // Two vGPUs asked for by the same TYPE@PARENT: the name does not say which.
        const bool one_request =
            ids.size() == 1 || std::all_of(ids.begin(), ids.end(), [&](const auto& id) {
                const auto& attachments = state.attachments;
                const auto found =
                    std::find_if(attachments.begin(), attachments.end(),
                                 [&](const auto& attachment) { return attachment.id == id; });
                return !found->made_vgpu && found->vf_of.empty();
            });
        if (one_request)
            return ids;
        of_type = std::move(ids);
    }
    if (of_type.size() == 1)
        return of_type;
    if (of_type.size() > 1)
        throw Failure(Errc::invalid_argument, quoted(name) + " names " +
                                                  std::to_string(of_type.size()) +
                                                  " attachments of sandbox " + state.id)
            .remedy("name one of them: " + join_words(of_type, " or "));
    throw Failure(Errc::not_attached, quoted(name) + " is not attached to sandbox " + state.id)
        .remedy(all.empty() ? "nothing is attached to it: kata-vfio list shows who has what"
                            : "attached are " + join_words(all) +
                                  ": name it by one of its names, which kata-vfio list " +
                                  state.id + " shows");
}

/// And those in the same slot of the guest: it gives back a slot as a whole (acpiphp), and QEMU
/// then unplugs every function of it.
std::vector<std::string> with_slot_mates(const SandboxState& state, std::vector<std::string> ids) {
    const auto slot = [](const Attachment& attachment) {
        return attachment.guest_address.substr(0, attachment.guest_address.rfind('.'));
    };
    const auto has = [&](const std::string& id) {
        return std::find(ids.begin(), ids.end(), id) != ids.end();
    };
    for (const auto& named : state.attachments) {
        if (!has(named.id) || !named.plugged() || named.guest_address.empty())
            continue;
        for (const auto& mate : state.attachments)
            if (mate.plugged() && slot(mate) == slot(named) && !has(mate.id))
                ids.push_back(mate.id);
    }
    return ids;
}

} // namespace

asio::awaitable<Outcome> Sandbox::detach(const std::string& device, const Caller& caller) {
    auto locked = co_await lock();
    co_await require_connection();
    co_await recover(locked.state, caller);
    std::vector<std::string> others;
    if (const auto node = as_node(device)) { // only that takes a look at the host
        auto look = [&] { others = behind(context_.root, *node); };
        co_await on_host(context_.host_pool, look);
    }
    const auto ids = with_slot_mates(locked.state, named(locked.state, device, others));
    Outcome outcome;
    for (const auto& id : ids) {
        auto detached = co_await detach_one(locked.state, id, caller.ticket);
        outcome.attachments.emplace_back(id_, std::move(detached));
    }
    co_return outcome;
}

asio::awaitable<Attachment> Sandbox::detach_one(SandboxState& state, std::string qdev_id,
                                                std::uint64_t ticket, Patience patience) {
    const auto find = [&] {
        return std::find_if(state.attachments.begin(), state.attachments.end(),
                            [&](const auto& attachment) { return attachment.id == qdev_id; });
    };
    if (!find()->unplugged) {
        if (!find()->prepared) {
            progress(ticket, "unplug " + qdev_id + " from guest address " + find()->guest_address);
            co_await unplug(qdev_id, state, ticket);
        }
        crash_point(CrashPoint::detach_unplugged);
        find()->unplugged = true;
        save(state);
        crash_point(CrashPoint::detach_unplug_recorded);
    }
    const Attachment attachment = *find();
    if (attachment.bound || (attachment.made_vgpu && !attachment.keep))
        progress(ticket, attachment.made_vgpu
                             ? "remove vGPU " + attachment.uuid
                             : "restore " + attachment.host_address + " to " +
                                   attachment.bound->earlier_driver.value_or("no driver"));
    co_await give_back(state, qdev_id, patience);
    state.attachments.erase(find());
    save(state);
    crash_point(CrashPoint::detach_recorded);
    co_return attachment;
}

asio::awaitable<Outcome> Sandbox::release(const Caller& caller) {
    auto locked = co_await lock();
    remember_process(locked.state);
    (void)co_await connect_if_alive(locked.state);
    co_await recover(locked.state, caller);
    Outcome outcome;
    std::optional<Failure> first;
    auto attached = locked.state.attachments;
    std::reverse(attached.begin(), attached.end());
    for (const auto& attachment : attached) {
        try {
            auto detached = co_await detach_one(locked.state, attachment.id, caller.ticket);
            outcome.attachments.emplace_back(id_, std::move(detached));
        } catch (const Failure& failure) {
            context_.log(LogLevel::error, "sandbox " + id_ + ": " + failure.what());
            if (!first)
                first = failure;
            if (failure.code() == Errc::cancelled)
                break;
        }
    }
    if (first) {
        first->during("release sandbox " + id_ + ", of which " +
                      std::to_string(locked.state.attachments.size()) + " of " +
                      std::to_string(attached.size()) + " devices are left");
        throw *first;
    }
    crash_point(CrashPoint::release_all_given_back);
    context_.state.remove_sandbox(id_);
    crash_point(CrashPoint::release_removed);
    close();
    co_return outcome;
}

} // namespace kata_vfio::plugin
