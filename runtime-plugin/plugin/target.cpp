// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/target.hpp"

#include "config/allow_list.hpp"
#include "config/base/failure.hpp"
#include "config/base/text.hpp"
#include "mdev/mdev_create.hpp"
#include "mdev/mdev_device.hpp"
#include "mdev/mdev_type.hpp"
#include "vfio/group_holder.hpp"
#include "vfio/iommu_group.hpp"
#include "vfio/pci_function.hpp"
#include "vfio/vfio_node.hpp"

#include <algorithm>
#include <cerrno>

namespace kata_vfio::plugin {
namespace {

/// What every way of naming a device needs to look at.
struct Resolver {
    const vfio::HostRoot& root;
    const config::Vfio& policy;
    const Claims& claims;
    const SandboxState& sandbox;
    const std::string& device;

    std::vector<Target> operator()(const NodeRequest& request) const {
        return node(vfio::resolve_node(root, request.path));
    }
    std::vector<Target> operator()(const DevnumRequest& request) const {
        return node(vfio::resolve_devnum(root, request.major, request.minor));
    }
    std::vector<Target> operator()(const FunctionRequest& request) const {
        return {function(request.address)};
    }
    std::vector<Target> operator()(const MdevRequest& request) const {
        return {existing_mdev(request.uuid)};
    }
    std::vector<Target> operator()(const VgpuRequest& request) const { return {vgpu(request)}; }

    std::vector<Target> node(const vfio::NodeTarget& target) const;
    Target function(const vfio::PciAddress& address) const;
    Target existing_mdev(const mdev::Uuid& uuid) const;
    Target vgpu(const VgpuRequest& request) const;

    void require_allowed(const std::vector<std::string>& patterns, const std::string& name,
                         std::string_view what, std::string_view key) const;
    void require_free(const std::string& name, const std::string& claim,
                      std::optional<int> group) const;
};

void Resolver::require_allowed(const std::vector<std::string>& patterns, const std::string& name,
                               std::string_view what, std::string_view key) const {
    if (!config::allowed(patterns, name))
        throw Failure(Errc::not_allowed, std::string(what) + " " + name + " is not allowed")
            .blocked_by("[vfio] " + std::string(key) + " = [" + join_words(patterns, ", ") + "]")
            .remedy("choose one that matches, or extend the list in the configuration");
}

void Resolver::require_free(const std::string& name, const std::string& claim,
                            std::optional<int> group) const {
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
    std::vector<std::string> names{claim};
    if (group)
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
    std::vector<Target> targets;
    for (const auto& address : target.functions) {
        const auto found = vfio::read_function(root, address);
        // A group node brings its bridges along; an unbound sibling can't be given to QEMU.
        if (found.on_vfio && !found.is_bridge())
            targets.push_back(function(address));
    }
    for (const auto& uuid : target.mdevs)
        targets.push_back(existing_mdev(mdev::Uuid::require(uuid)));
    if (targets.empty())
        throw Failure(Errc::device_not_found,
                      "nothing behind " + target.node.path.string() + " is bound to vfio-pci")
            .remedy("bind the function first: kata-vfio bind BDF");
    return targets;
}

Target Resolver::function(const vfio::PciAddress& address) const {
    const auto found = vfio::read_function(root, address);
    const auto name = address.text();
    require_allowed(policy.allowed_devices, name, "device", "allowed_devices");
    const int number = vfio::group_of(root, address);
    vfio::require_viable(root, vfio::read_group(root, number), {address});
    require_free(name, function_claim(name), number);

    Target target;
    target.needs_bind = !found.on_vfio;
    target.attachment.id = qdev_id_of_function(name);
    target.attachment.kind = Kind::pci;
    target.attachment.device = device;
    target.attachment.host_address = name;
    target.attachment.sysfsdev = found.sysfs.string();
    target.attachment.iommu_group = number;
    return target;
}

Target Resolver::existing_mdev(const mdev::Uuid& uuid) const {
    const auto found = mdev::require_device(root, uuid);
    if (found.state == mdev::MdevDevice::State::pending_removal)
        throw Failure(Errc::removal_pending, "vGPU " + uuid.text() + " is being removed")
            .remedy("wait until its holder has let it go, and make a new one");
    require_allowed(policy.allowed_types, found.type, "mdev type", "allowed_types");
    require_allowed(policy.allowed_parents, found.parent, "parent", "allowed_parents");
    require_free(uuid.text(), mdev_claim(uuid.text()), found.iommu_group);

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
    const auto offers = mdev::find_type(
        root, request.type,
        request.parent ? std::optional<std::string_view>(*request.parent) : std::nullopt);
    require_allowed(policy.allowed_types, request.type, "mdev type", "allowed_types");
    std::vector<const mdev::TypeOffer*> allowed;
    for (const auto& offer : offers)
        if (config::allowed(policy.allowed_parents, offer.parent))
            allowed.push_back(&offer);
    if (allowed.empty())
        require_allowed(policy.allowed_parents, offers.front().parent, "parent", "allowed_parents");
    const auto uuid = request.uuid ? *request.uuid : mdev::Uuid::random();
    if (request.uuid && mdev::find_device(root, uuid))
        throw mdev::create_failure(root, allowed.front()->parent, request.type, uuid, EEXIST);
    const auto chosen = std::find_if(allowed.begin(), allowed.end(), [](const auto* offer) {
        return offer->available_instances > 0;
    });
    if (chosen == allowed.end())
        throw mdev::create_failure(root, allowed.front()->parent, request.type, uuid, ENOSPC);

    Target target;
    target.attachment.id = qdev_id_of_vgpu(uuid.text(), sandbox);
    target.attachment.kind = Kind::mdev;
    target.attachment.device = device;
    target.attachment.host_address = (*chosen)->parent;
    target.attachment.uuid = uuid.text();
    target.attachment.mdev_type = request.type;
    target.attachment.sysfsdev = "/sys/bus/mdev/devices/" + uuid.text();
    target.attachment.made_vgpu = true;
    return target;
}

} // namespace

std::vector<Target> resolve(const vfio::HostRoot& root, const config::Vfio& policy,
                            const Claims& claims, const SandboxState& sandbox,
                            const DeviceRequest& request, const std::string& device) {
    const Resolver resolver{root, policy, claims, sandbox, device};
    return std::visit(resolver, request);
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
