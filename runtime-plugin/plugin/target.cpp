// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/target.hpp"

#include "config/allow_list.hpp"
#include "config/base/failure.hpp"
#include "config/base/text.hpp"
#include "mdev/mdev_create.hpp"
#include "mdev/mdev_device.hpp"
#include "mdev/mdev_type.hpp"
#include "mdev/placement.hpp"
#include "runtime-plugin/plugin/group_plan.hpp"
#include "runtime-plugin/plugin/numa.hpp"
#include "runtime-plugin/plugin/virtual_functions.hpp"
#include "vfio/group_holder.hpp"
#include "vfio/iommu_group.hpp"
#include "vfio/pci_function.hpp"
#include "vfio/vfio_node.hpp"

#include <algorithm>
#include <cerrno>

namespace kata_vfio::plugin {
namespace {

/// The parents with what placing looks at. Of a type that is known by its name nothing but what is
/// left of it has to be read.
std::vector<mdev::MdevParent> parents_for(const vfio::HostRoot& root, const VgpuRequest& request) {
    if (!request.type || !request.minimum.empty())
        return mdev::list_parents(root);
    std::vector<mdev::MdevParent> parents;
    for (const auto& offer : mdev::find_type(root, *request.type)) {
        mdev::MdevParent parent;
        parent.name = offer.parent;
        parent.numa_node = mdev::numa_node(root, offer.parent);
        mdev::MdevType type;
        type.id = *request.type;
        type.available_instances = offer.available_instances;
        parent.types.push_back(std::move(type));
        parents.push_back(std::move(parent));
    }
    return parents;
}

mdev::Placement find_place(const vfio::HostRoot& root, const config::Vfio& policy,
                           const SandboxState& sandbox, const Target& target) {
    const auto& request = *target.wish;
    const auto parents = parents_for(root, request);
    mdev::PlacementPolicy placing;
    if (policy.placement == "spread")
        placing.order = mdev::PlacementPolicy::Order::spread;
    placing.allowed_types = policy.allowed_types;
    placing.allowed_parents = policy.allowed_parents;
    if (parents.size() > 1)
        placing.near = nodes_of(root, sandbox.qemu_pid);
    placing.refused = target.refused;
    return mdev::place(parents, {request.type, request.parent, request.minimum}, placing);
}

void put(Target& target, const mdev::Placement& placement) {
    target.attachment.host_address = placement.parent;
    target.attachment.mdev_type = placement.type;
}

/// What every way of naming a device needs to look at.
struct Resolver {
    const vfio::HostRoot& root;
    const config::Vfio& policy;
    const StateDir& directory;
    const Claims& claims;
    const SandboxState& sandbox;
    const std::string& device;
    std::optional<bool> kvm;

    std::vector<Target> operator()(const NodeRequest& request) const {
        return node(vfio::resolve_node(root, request.path));
    }
    std::vector<Target> operator()(const DevnumRequest& request) const {
        return node(vfio::resolve_devnum(root, request.major, request.minor));
    }
    std::vector<Target> operator()(const FunctionRequest& request) const {
        return functions({request.address});
    }
    std::vector<Target> operator()(const MdevRequest& request) const {
        return {existing_mdev(request.uuid)};
    }
    std::vector<Target> operator()(const VgpuRequest& request) const { return {vgpu(request)}; }
    std::vector<Target> operator()(const SriovRequest& request) const {
        return {virtual_function(request)};
    }

    std::vector<Target> node(const vfio::NodeTarget& target) const;
    std::vector<Target> functions(const std::vector<vfio::PciAddress>& asked) const;
    Target function(const vfio::PciAddress& address, int group) const;
    Target existing_mdev(const mdev::Uuid& uuid) const;
    Target vgpu(const VgpuRequest& request) const;
    Target virtual_function(const SriovRequest& request) const;

    void require_gvt_fits(const std::string& type) const;
    void require_allowed(const std::vector<std::string>& patterns, const std::string& name,
                         std::string_view what, std::string_view key) const;
    void require_free(Kind kind, const std::string& name, std::optional<int> group) const;
};

void Resolver::require_allowed(const std::vector<std::string>& patterns, const std::string& name,
                               std::string_view what, std::string_view key) const {
    if (!config::allowed(patterns, name))
        throw Failure(Errc::not_allowed, std::string(what) + " " + name + " is not allowed")
            .blocked_by("[vfio] " + std::string(key) + " = [" + join_words(patterns, ", ") + "]")
            .remedy("choose one that matches, or extend the list in the configuration");
}

void Resolver::require_free(Kind kind, const std::string& name, std::optional<int> group) const {
    bool group_is_ours = false;
    for (const auto& attached : sandbox.attachments) {
        if ((attached.kind == Kind::mdev ? attached.uuid : attached.host_address) == name)
            throw Failure(Errc::already_attached,
                          name + " is attached to sandbox " + sandbox.id + " already")
                .blocked_by("the attachment of " + quoted(attached.device) + " at guest address " +
                            attached.guest_address)
                .remedy("detach it first if it is to be attached anew");
        group_is_ours |= group && attached.iommu_group == group;
    }
    std::vector<std::string> names{kind == Kind::mdev ? mdev_claim(name) : function_claim(name)};
    if (group && kind == Kind::pci) // a vGPU has a group to itself, and claims none
        names.push_back(group_claim(*group));
    for (const auto& claimed : names)
        if (const auto owner = claims.owner(claimed); owner && *owner != sandbox.id)
            throw Failure(Errc::device_in_use, name + " belongs to another sandbox")
                .blocked_by("sandbox " + *owner)
                .remedy("detach it there first, or release that sandbox");
    // Our own QEMU holds the group when a sibling is attached already.
    if (group && !group_is_ours)
        vfio::hold_group(root, *group, name);
}

std::vector<Target> Resolver::node(const vfio::NodeTarget& target) const {
    std::vector<vfio::PciAddress> asked;
    for (const auto& address : target.functions) {
        const auto found = vfio::read_function(root, address);
        // A group node brings its bridges along; an unbound sibling was not meant.
        if (found.on_vfio && !found.is_bridge())
            asked.push_back(address);
    }
    auto targets = asked.empty() ? std::vector<Target>() : functions(asked);
    for (const auto& uuid : target.mdevs)
        targets.push_back(existing_mdev(mdev::Uuid::require(uuid)));
    if (targets.empty())
        throw Failure(Errc::device_not_found,
                      "nothing behind " + target.node.path.string() + " is bound to vfio-pci")
            .remedy("bind the function first: kata-vfio bind BDF");
    return targets;
}

std::vector<Target> Resolver::functions(const std::vector<vfio::PciAddress>& asked) const {
    const int number = vfio::group_of(root, asked.front());
    const auto group = vfio::read_group(root, number);
    std::vector<vfio::PciFunction> members;
    for (const auto& member : group.members)
        if (member.pci)
            members.push_back(vfio::read_function(root, *member.pci));
    for (const auto& address : asked)
        require_allowed(policy.allowed_devices, address.text(), "device", "allowed_devices");
    auto taken = plan_group(members, asked, take_siblings_of(policy.take_siblings));
    if (taken.empty())
        taken = asked; // a bridge: what it lacks is said when it is to be bound
    vfio::require_viable(root, group, taken);
    std::vector<Target> targets;
    for (const auto& address : taken)
        targets.push_back(function(address, number));
    share_slots(targets);
    return targets;
}

Target Resolver::function(const vfio::PciAddress& address, int group) const {
    const auto found = vfio::read_function(root, address);
    const auto name = address.text();
    require_allowed(policy.allowed_devices, name, "device", "allowed_devices");
    require_free(Kind::pci, name, group);
    if (!found.on_vfio) {
        auto vgpus = vfio::mediated_devices(root, address);
        for (auto& uuid : vgpus)
            if (const auto owner = claims.owner(mdev_claim(uuid)))
                uuid += " (sandbox " + *owner + ")";
        vfio::require_no_mediated_devices(address, vgpus);
    }

    Target target;
    target.needs_bind = !found.on_vfio;
    target.attachment.id = qdev_id_of_function(name);
    target.attachment.kind = Kind::pci;
    target.attachment.device = device;
    target.attachment.host_address = name;
    target.attachment.sysfsdev = found.sysfs.string();
    target.attachment.iommu_group = group;
    return target;
}

Target Resolver::existing_mdev(const mdev::Uuid& uuid) const {
    const auto found = mdev::require_device(root, uuid);
    if (found.state == mdev::MdevDevice::State::pending_removal)
        throw Failure(Errc::removal_pending, "vGPU " + uuid.text() + " is being removed")
            .remedy("wait until its holder has let it go, and make a new one");
    require_allowed(policy.allowed_types, found.type, "mdev type", "allowed_types");
    require_allowed(policy.allowed_parents, found.parent, "parent", "allowed_parents");
    require_free(Kind::mdev, uuid.text(), found.iommu_group);
    require_gvt_fits(found.type);

    Target target;
    target.attachment.id = qdev_id_of_vgpu(uuid.text(), sandbox);
    target.attachment.kind = Kind::mdev;
    target.attachment.device = device;
    target.attachment.host_address = found.parent;
    target.attachment.uuid = uuid.text();
    target.attachment.mdev_type = found.type;
    target.attachment.sysfsdev = found.sysfs.string();
    target.attachment.iommu_group = found.iommu_group;
    return target;
}

Target Resolver::vgpu(const VgpuRequest& request) const {
    const auto parent =
        request.parent ? std::optional<std::string_view>(*request.parent) : std::nullopt;
    std::vector<std::string> allowed;
    if (request.type) {
        const auto offers = mdev::find_type(root, *request.type, parent);
        require_allowed(policy.allowed_types, *request.type, "mdev type", "allowed_types");
        for (const auto& offer : offers)
            if (config::allowed(policy.allowed_parents, offer.parent))
                allowed.push_back(offer.parent);
        if (allowed.empty())
            require_allowed(policy.allowed_parents, offers.front().parent, "parent",
                            "allowed_parents");
    } else if (parent) {
        (void)mdev::parent_path(root, *parent); // there is one of that name
    }
    const auto uuid = request.uuid ? *request.uuid : mdev::Uuid::random();
    if (const auto there = request.uuid ? mdev::find_device(root, uuid) : std::nullopt)
        throw mdev::create_failure(root, there->parent, there->type, uuid, EEXIST);

    Target target;
    target.wish = request;
    target.attachment.id = qdev_id_of_vgpu(uuid.text(), sandbox);
    target.attachment.kind = Kind::mdev;
    target.attachment.device = device;
    target.attachment.uuid = uuid.text();
    target.attachment.sysfsdev = "/sys/bus/mdev/devices/" + uuid.text();
    target.attachment.made_vgpu = true;
    target.attachment.keep = request.keep;
    try {
        put(target, find_place(root, policy, sandbox, target));
    } catch (const Failure& failure) {
        if (failure.code() == Errc::no_instances && allowed.size() == 1)
            throw mdev::create_failure(root, allowed.front(), *request.type, uuid, ENOSPC);
        throw;
    }
    require_gvt_fits(target.attachment.mdev_type);
    return target;
}

Target Resolver::virtual_function(const SriovRequest& request) const {
    const auto parents = look_at_parents(root, directory, claims, request.parent);
    const auto near = parents.size() > 1 ? nodes_of(root, sandbox.qemu_pid) : std::set<int>();
    const auto place = place_function(parents, request.parent, policy, near);
    const auto name = place.function.text();
    Target target;
    std::error_code ec;
    if (std::filesystem::exists(vfio::function_path(root, place.function), ec)) {
        const int group = vfio::group_of(root, place.function);
        vfio::require_viable(root, vfio::read_group(root, group), {place.function});
        target = function(place.function, group);
    } else {
        require_allowed(policy.allowed_devices, name, "device", "allowed_devices");
        target.enables = target.needs_bind = true;
        target.attachment.id = qdev_id_of_function(name);
        target.attachment.kind = Kind::pci;
        target.attachment.device = device;
        target.attachment.host_address = name;
        target.attachment.sysfsdev = "/sys/bus/pci/devices/" + name;
    }
    target.attachment.vf_of = place.parent.text();
    return target;
}

void Resolver::require_gvt_fits(const std::string& type) const {
    if (!is_gvt(type))
        return;
    if (kvm && !*kvm)
        throw Failure(Errc::gvt_refused, "GVT-g serves VMs with KVM alone, and this QEMU runs "
                                         "without")
            .remedy("start it with -accel kvm");
    for (const auto& attached : sandbox.attachments)
        if (!attached.unplugged && is_gvt(attached.mdev_type))
            throw Failure(Errc::gvt_refused,
                          "a VM takes one GVT-g vGPU, and sandbox " + sandbox.id + " has one")
                .blocked_by("vGPU " + attached.uuid + " (" + attached.mdev_type + ")")
                .remedy("detach that one first, or make do with it; a larger type serves more");
}

} // namespace

std::vector<Target> resolve(const vfio::HostRoot& root, const config::Vfio& policy,
                            const StateDir& directory, const Claims& claims,
                            const SandboxState& sandbox, const DeviceRequest& request,
                            const std::string& device, std::optional<bool> kvm) {
    const Resolver resolver{root, policy, directory, claims, sandbox, device, kvm};
    return std::visit(resolver, request);
}

bool place_elsewhere(const vfio::HostRoot& root, const config::Vfio& policy,
                     const SandboxState& sandbox, Target& target) {
    if (!target.wish || target.wish->parent)
        return false;
    target.refused.insert(target.attachment.host_address);
    try {
        put(target, find_place(root, policy, sandbox, target));
        return true;
    } catch (const Failure&) { // the caller has the kernel's own refusal to tell
        return false;
    }
}

void share_slots(std::vector<Target>& targets) {
    std::vector<Target> ordered;
    std::vector<vfio::PciAddress> addresses;
    for (auto& target : targets)
        if (target.attachment.kind == Kind::pci)
            addresses.push_back(vfio::PciAddress::require(target.attachment.host_address));
        else
            ordered.push_back(std::move(target));
    for (const auto& set : plan_slots(addresses))
        for (const auto& mate : set) {
            const auto found = std::find_if(targets.begin(), targets.end(), [&](const auto& each) {
                return each.attachment.kind == Kind::pci &&
                       each.attachment.host_address == mate.address.text();
            });
            found->guest_function = mate.function;
            found->shares_slot = set.size() > 1;
            ordered.push_back(std::move(*found));
        }
    targets = std::move(ordered);
}

std::vector<Attachment> attachments_of(const std::vector<Target>& targets) {
    std::vector<Attachment> attachments;
    std::size_t set = 0; // where the slot begins whose functions are at hand
    for (const auto& target : targets) {
        attachments.insert(attachments.begin() + static_cast<std::ptrdiff_t>(set),
                           target.attachment);
        if (target.guest_function == 0)
            set = attachments.size();
    }
    return attachments;
}

bool is_gvt(std::string_view mdev_type) {
    return mdev_type.starts_with("i915-GVTg_");
}

std::string qdev_id_of_function(std::string bdf) {
    std::replace(bdf.begin(), bdf.end(), ':', '.');
    return "vfio-" + bdf;
}

std::string qdev_id_of_vgpu(const std::string& uuid, const SandboxState& sandbox) {
    auto brief = "vfio-" + uuid.substr(0, uuid.find('-'));
    const bool taken = std::any_of(sandbox.attachments.begin(), sandbox.attachments.end(),
                                   [&](const auto& attached) { return attached.id == brief; });
    return taken ? "vfio-" + uuid : brief;
}

} // namespace kata_vfio::plugin
