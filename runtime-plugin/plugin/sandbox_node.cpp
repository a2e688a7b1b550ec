// SPDX-License-Identifier: Apache-2.0
// The part of an attach that sees to it that QEMU may open the group's node: its user, and its
// cgroup.
#include "runtime-plugin/plugin/crash_point.hpp"
#include "runtime-plugin/plugin/device_rules.hpp"
#include "runtime-plugin/plugin/host_call.hpp"
#include "runtime-plugin/plugin/node_rights.hpp"
#include "runtime-plugin/plugin/sandbox.hpp"
#include "vfio/vfio_node.hpp"
#include "vfio/wait_path.hpp"

namespace kata_vfio::plugin {
namespace asio = boost::asio;
namespace {

/// The node that another attachment of the sandbox's has had lent already, or another target of
/// this attach.
std::optional<LentNode> lent_before(int group, const SandboxState& state,
                                    const std::vector<Target>& targets) {
    const auto of = [&](const Attachment& other) {
        return other.lent && other.lent->group == group;
    };
    for (const auto& other : targets)
        if (of(other.attachment))
            return other.attachment.lent;
    for (const auto& other : state.attachments)
        if (of(other) && !other.unplugged)
            return other.lent;
    return std::nullopt;
}

} // namespace

void Sandbox::open_node_to_qemu(Journal& journal, Target& target,
                                const std::vector<Target>& targets, const SandboxState& state,
                                const Caller& caller) {
    auto& attachment = target.attachment;
    if (!qemu_user_ || !attachment.iommu_group)
        return;
    const auto& root = context_.root;
    const auto& user = *qemu_user_;
    const int group = *attachment.iommu_group;
    // By its own node only where those are open to it: they are never lent, its group's is.
    if (target.cdev) {
        const auto cdev = vfio::cdev_node(root, attachment.sysfsdev);
        target.cdev = cdev && !closed_node(root, user, root.dev("iommu")) &&
                      !closed_node(root, user, root.root() / cdev->relative_path());
    }
    if (!target.cdev)
        if (const auto closed = closed_node(root, user, root.dev("vfio/vfio")))
            throw refusal(user, *closed,
                          "give it the mode that the kernel makes it with: chmod 0666 " +
                              closed->path + "; it gives no access to a device");
    attachment.lent = lent_before(group, state, targets);
    const auto node = vfio::group_node(root, group);
    auto closed = closed_node(root, user, node);
    if (!closed)
        return;
    const auto& config = context_.config;
    if (!config.vfio.chown_nodes && !config.hypervisor.rootless) {
        if (target.cdev)
            return;
        // One that has just been made has its rights from udev, if a rule gives it any.
        const auto opened = [&] { return !(closed = closed_node(root, user, node)); };
        if ((attachment.made_vgpu || attachment.bound) &&
            vfio::wait_until(root.dev("vfio"), opened, config.vfio.timeouts.device_node,
                             root.watches()))
            return;
        throw refusal(user, *closed,
                      "set chown_nodes = true in [vfio], which makes a node QEMU's user's while "
                      "it is attached, or have a udev rule give /dev/vfio nodes to a group of "
                      "that user");
    }
    const LentNode lent{group, closed->node.uid, user.uid, closed->node.inode};
    const Step step = ChownNodeStep{lent, own_claim(attachment)};
    context_.inbox.post([self = shared_from_this(), ticket = caller.ticket, line = text(step)] {
        self->progress(ticket, line);
    });
    journal.intend(step);
    crash_point(CrashPoint::attach_chown_intended);
    lend(root, lent);
    crash_point(CrashPoint::attach_chowned);
    journal.done();
    attachment.lent = lent;
    if (const auto still = closed_node(root, user, node))
        throw refusal(user, *still,
                      "its mode does not let even its owner read and write: chmod u+rw " +
                          still->path);
}

void Sandbox::require_reach(const Target& target) {
    const auto& group = target.attachment.iommu_group;
    if (!group || target.cdev || unrestricted_) // by its own node, where QEMU takes that
        return;
    const auto node = "/dev/vfio/" + std::to_string(*group);
    const auto reach = reach_of_node(context_.root, qemu_pid_, node);
    if (reach.refused)
        throw Failure(*reach.refused);
    unrestricted_ = reach.unrestricted;
    if (reach.unknown.empty() || std::exchange(told_reach_, true))
        return;
    const auto text = "sandbox " + id_ + ": whether QEMU's cgroup lets it open " + node +
                      " is not known: " + reach.unknown;
    const auto level = reach.forbidden ? LogLevel::info : LogLevel::warning;
    context_.inbox.post(
        [self = shared_from_this(), level, text] { self->context_.log(level, text); });
}

asio::awaitable<void> Sandbox::explain_denial(const Target& target) {
    unrestricted_ = false;
    auto look = [&] { require_reach(target); };
    co_await on_host(context_.host_pool, look);
}

} // namespace kata_vfio::plugin
