// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/host_picture.hpp"

#include "config/base/failure.hpp"
#include "config/base/text.hpp"
#include "mdev/mdev_device.hpp"
#include "runtime-plugin/plugin/process.hpp"
#include "vfio/group_holder.hpp"
#include "vfio/iommu_group.hpp"
#include "vfio/pci_function.hpp"
#include "vfio/vfio_node.hpp"

namespace kata_vfio::plugin {
namespace {

struct Looker {
    const vfio::HostRoot& root;
    const Claims& claims;
    const KnownMdevs* known;
    HostPicture& picture;

    void mdev(const std::string& uuid, const std::string& parent) const {
        const auto seen = known ? known->find(uuid) : KnownMdevs::const_iterator();
        if (known && seen != known->end())
            note(uuid, seen->second);
        else if (const auto device = mdev::find_device(root, mdev::Uuid::require(uuid), parent))
            note(uuid, *device);
    }
    void note(const std::string& uuid, const mdev::MdevDevice& device) const {
        picture.mdevs[uuid] = {device.state == mdev::MdevDevice::State::pending_removal,
                               device.iommu_group};
    }
    void function(const std::string& bdf) const {
        const auto address = vfio::PciAddress::require(bdf);
        const auto path = vfio::function_path(root, address);
        if (std::error_code ec; std::filesystem::exists(path, ec))
            picture.functions[bdf] = {vfio::current_driver(root, address), vfio::group_link(path)};
    }
    void claim(const std::string& name) const {
        try {
            if (auto claim = claims.read(name))
                picture.claims[name] = std::move(*claim);
        } catch (const Failure& failure) {
            if (failure.code() != Errc::state_corrupt)
                throw;
            picture.unreadable_claims.insert(name);
        }
    }

    void operator()(const ClaimStep& step) const { claim(step.claim); }
    void operator()(const CreateVgpuStep& step) const {
        mdev(step.uuid, step.parent);
        claim(mdev_claim(step.uuid));
    }
    void operator()(const BindStep& step) const {
        function(step.record.address.text());
        claim(function_claim(step.record.address.text()));
    }
    void operator()(const PlugStep&) const {}
    void operator()(const EnableFunctionsStep&) const {}
    void operator()(const ChownNodeStep&) const {} // its device's claim says whose it is
};

} // namespace

HostPicture look_at_host(const vfio::HostRoot& root, const Claims& claims,
                         const std::optional<LeftJournal>& journal, const SandboxState& state,
                         bool groups, const KnownMdevs* known) {
    HostPicture picture;
    const Looker look{root, claims, known, picture};
    if (journal)
        for (const auto& step : journal->steps)
            std::visit(look, step);
    for (const auto& attachment : state.attachments) {
        if (attachment.kind == Kind::mdev)
            look.mdev(attachment.uuid, attachment.host_address);
        else
            look.function(attachment.host_address);
        for (const auto& claim : claims_of(attachment))
            look.claim(claim);
    }
    if (!groups)
        return picture;
    const auto probe = [&](std::optional<int> group) {
        if (group && vfio::group_busy(root, *group))
            picture.busy_groups.insert(*group);
    };
    for (const auto& [uuid, device] : picture.mdevs)
        probe(device.group);
    for (const auto& [bdf, function] : picture.functions)
        probe(function.group);
    return picture;
}

bool orphaned(const vfio::HostRoot& root, const SandboxState& state) {
    return state.owner_pid > 0 && !lives(root, state.owner_pid, state.owner_start);
}

QemuPicture look_at_qemu(const vfio::HostRoot& root, const SandboxState& state) {
    const auto pid = "pid " + std::to_string(state.qemu_pid);
    const bool alone = orphaned(root, state);
    if (state.qemu_pid <= 0)
        return {QemuLife::unknown, false, "the pid of its QEMU is not known", alone};
    if (lives(root, state.qemu_pid, state.qemu_start))
        return {QemuLife::running, false, "its QEMU, " + pid + ", runs", alone};
    return {QemuLife::gone, false, "its QEMU, " + pid + ", is gone", alone};
}

QemuPicture judge_by_groups(const HostPicture& host) {
    if (host.busy_groups.empty())
        return {QemuLife::gone, false,
                "its QEMU's monitor is closed, and nobody has its devices open"};
    std::vector<std::string> groups;
    for (const int group : host.busy_groups)
        groups.push_back("/dev/vfio/" + std::to_string(group));
    return {QemuLife::running, false,
            "its QEMU's monitor is closed, but a process has " + join_words(groups) + " open"};
}

bool await_let_go(const vfio::HostRoot& root, const Claims& claims,
                  const std::optional<LeftJournal>& journal, const SandboxState& state,
                  vfio::Deadline deadline, std::string& blocker) {
    for (;;) {
        const auto busy = look_at_host(root, claims, journal, state, true).busy_groups;
        if (busy.empty())
            return true;
        const auto holders = vfio::group_holders(root, *busy.begin());
        blocker = holders.empty()
                      ? "a process that can't be seen from here, which has " +
                            root.told(vfio::group_node(root, *busy.begin())).string() + " open"
                      : text(holders.front());
        if (holders.empty())
            return false;
        const auto start = start_time(root, holders.front().pid);
        if (!start || !await_process_exit(root, holders.front().pid, *start, deadline) ||
            deadline.passed())
            return false;
    }
}

PendingOn pending_on(const vfio::HostRoot& root, const Attachment& attachment) {
    if (!attachment.iommu_group)
        return {};
    const auto holders = vfio::group_holders(root, *attachment.iommu_group);
    if (holders.empty())
        return {};
    const auto& first = holders.front();
    return {first.pid, start_time(root, first.pid).value_or(0), first.command};
}

} // namespace kata_vfio::plugin
