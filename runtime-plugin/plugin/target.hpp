// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/schema.hpp"
#include "runtime-plugin/plugin/claims.hpp"
#include "runtime-plugin/plugin/device_request.hpp"
#include "runtime-plugin/plugin/sandbox_state.hpp"
#include "runtime-plugin/plugin/state_dir.hpp"
#include "vfio/host_root.hpp"

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::plugin {

/// One device that an attach will plug, as the host has it before anything is changed.
struct Target {
    Attachment attachment; ///< all but guest_address; iommu_group none for a vGPU to be made
    /// The function is on a host driver (or on none): it has to be bound to vfio-pci first.
    bool needs_bind = false;
    /// The kernel has a node of its own for it: looked for once the host steps are taken, and only
    /// where [vfio] iommufd is auto.
    bool cdev = false;
    /// For a vGPU to be made wherever there is room: what was asked for, so that another place can
    /// be found when the parent refuses (see place_elsewhere()).
    std::optional<VgpuRequest> wish = std::nullopt;
    std::set<std::string> refused = {};
    /// A virtual function that is not there yet: its parent's have to be enabled first, and its
    /// group is known only then.
    bool enables = false;
    /// Its function in the guest's slot, and whether others share that slot with it. Those stand
    /// one after the other, function 0 last.
    unsigned guest_function = 0;
    bool shares_slot = false;
};

/// Finds out what a request means on this host, and refuses what can be refused without touching
/// anything: unknown devices, policy (allow-lists), viability, a holder, another sandbox's claim,
/// capacity. `device` is the request's text, kept in the attachment. Blocks a few ms (sysfs).
///
/// Throws Failure: what parse_device's forms resolve to in vfio/ and mdev/, not_allowed,
/// group_not_viable, device_in_use, already_attached, no_instances, uuid_exists, driver_missing,
/// gvt_refused for a second GVT-g vGPU (`kvm` false: for any).
std::vector<Target> resolve(const vfio::HostRoot& root, const config::Vfio& policy,
                            const StateDir& directory, const Claims& claims,
                            const SandboxState& sandbox, const DeviceRequest& request,
                            const std::string& device, std::optional<bool> kvm = std::nullopt);

/// Another parent for a vGPU whose own has refused to make it although it had room by its files:
/// another process was quicker, or its free memory is in pieces. Everything is read again, as the
/// types of a parent share one pool. False: there is none, or the request named its parent.
bool place_elsewhere(const vfio::HostRoot& root, const config::Vfio& policy,
                     const SandboxState& sandbox, Target& target);

/// Orders functions that an attach brings in at once by their guests' slots, and says where in them
/// they stand: see plan_slots(). Other devices stay as they are, in front.
void share_slots(std::vector<Target>& targets);

/// Their attachments in the order of the host's addresses within each slot: that in which people,
/// and the record, list them.
std::vector<Attachment> attachments_of(const std::vector<Target>& targets);

/// Whether it is one of GVT-g, by its type's name. A VM takes one of those (kvmgt refuses a second
/// open by the same KVM with EEXIST), and only a VM with KVM does (ESRCH). Source: kernel
/// drivers/gpu/drm/i915/gvt/kvmgt.c, __kvmgt_vgpu_exist().
bool is_gvt(std::string_view mdev_type);

/// QEMU's device id for a function: "vfio-0000.00.02.0". The same device always has the same one,
/// so a log, QEMU's error and the guest's bus can be read together, and a second plug of it meets
/// "Duplicate device ID".
std::string qdev_id_of_function(std::string bdf);

/// And for a vGPU: "vfio-" and its UUID up to the first hyphen, or all of the UUID where another
/// attachment of this sandbox has that. Brief, because QEMU's monitor reads a command a byte at a
/// time, with a turn of its main loop each: all of the UUID cost an attach 1 ms in a nested VM.
std::string qdev_id_of_vgpu(const std::string& uuid, const SandboxState& sandbox);

} // namespace kata_vfio::plugin
