// SPDX-License-Identifier: Apache-2.0
#include "mdev/mdev_create.hpp"

#include "config/base/text.hpp"
#include "mdev/mdev_remove.hpp"
#include "mdev/mdev_type.hpp"
#include "vfio/host_write.hpp"
#include "vfio/iommu_group.hpp"
#include "vfio/sysfs_read.hpp"
#include "vfio/vfio_node.hpp"
#include "vfio/wait_path.hpp"

#include <cerrno>

namespace kata_vfio::mdev {
namespace fs = std::filesystem;
namespace {

constexpr auto take_back_time = std::chrono::seconds(5);

Failure exists_failure(const vfio::HostRoot& root, const Uuid& uuid) {
    Failure failure(Errc::uuid_exists, "a mediated device " + uuid.text() + " exists already");
    const auto device = find_device(root, uuid);
    if (!device)
        return failure.remedy("its removal may be under way: try again, or take another UUID");
    if (device->state == MdevDevice::State::pending_removal)
        return failure
            .blocked_by("its removal, pending at parent " + device->parent +
                        " until its user lets it go")
            .remedy("take another UUID");
    return failure
        .blocked_by(device->sysfs.string() + ", type " + device->type + " of parent " +
                    device->parent)
        .remedy("take another UUID (UUIDs are unique over all parents), or use that device");
}

Failure full_failure(const vfio::HostRoot& root, std::string_view parent, std::string_view type) {
    Failure failure(Errc::no_instances, "parent " + std::string(parent) + " has no instance of " +
                                            std::string(type) + " left");
    std::vector<std::string> users, free;
    for (const auto& device : list_devices(root))
        if (device.parent == parent)
            users.push_back(device.state == MdevDevice::State::present
                                ? device.uuid.text() + " (" + device.type + ")"
                                : device.uuid.text() + " (pending removal)");
    for (const auto& other : read_parent(root, parent).types)
        if (other.available_instances > 0)
            free.push_back(other.id + ": " + std::to_string(other.available_instances));
    if (!users.empty())
        failure.blocked_by(join_words(users));
    return failure.remedy(
        "available now: " + (free.empty() ? std::string("nothing") : join_words(free)) +
        "; remove a vGPU that is not used (kata-vfio vgpus), or take another type or parent");
}

/// Takes a device back that could not be completed, and says in `failure` what became of it.
void take_back(const vfio::HostRoot& root, const Uuid& uuid, Failure& failure) {
    std::string what;
    try {
        const auto result = remove(root, uuid, take_back_time);
        what = result.outcome == RemoveOutcome::removed
                   ? "it was removed again"
                   : "its removal is pending: the kernel waits for a process that has it open";
    } catch (const Failure& second) {
        what = std::string("removing it again failed, it is left: ") + second.what();
    }
    failure.remedy(what + (failure.advice().empty() ? "" : "; " + failure.advice()));
}

/// Waits until the device can be given to a guest; what is missing when the time is over. Fills in
/// the group and the node.
std::optional<std::string> missing_part(const vfio::HostRoot& root, MdevDevice& device,
                                        vfio::Deadline deadline) {
    const auto dir = root.sys("bus/mdev/devices") / device.uuid.text();
    if (!vfio::wait_exists(dir, deadline, root.watches()))
        return root.told(dir).string();
    const auto has_group = [&] {
        device.iommu_group = vfio::group_link(dir);
        return device.iommu_group.has_value();
    };
    // On sysfs this link is there when the write returns, or the vfio driver of the parent has not
    // taken the device and never will.
    if (!vfio::settled(dir, has_group, deadline, root.watches()))
        return root.told(dir / "iommu_group").string();
    // udev, or whoever fills this container's /dev, may be later than the kernel.
    if (fs::exists(root.sys("class/vfio"))) {
        const auto node = vfio::group_node(root, *device.iommu_group);
        device.node = root.told(node);
        return vfio::wait_exists(node, deadline, root.watches())
                   ? std::nullopt
                   : std::optional(device.node->string());
    }
    const auto has_node = [&] {
        const auto found = find_device(root, device.uuid);
        device.node = found ? found->node : std::nullopt;
        return device.node.has_value();
    };
    return vfio::wait_until(root.dev("vfio/devices"), has_node, deadline, root.watches())
               ? std::nullopt
               : std::optional<std::string>("its node in /dev/vfio/devices");
}

} // namespace

Failure create_failure(const vfio::HostRoot& root, std::string_view parent, std::string_view type,
                       const Uuid& uuid, int error) {
    const auto what = "parent " + std::string(parent) + " did not create " + uuid.text() +
                      " of type " + std::string(type);
    switch (error) {
    case EEXIST:
        return exists_failure(root, uuid).sys(error);
    case ENOSPC: // the driver's own refusal
    case EUSERS: // the mdev core's limit, since 6.1
        return full_failure(root, parent, type).sys(error);
    case EROFS:
        return Failure(Errc::permission_denied, what)
            .sys(error)
            .remedy("/sys is mounted read-only here (a container?): mount it writable, or run on "
                    "the host");
    case ENODEV:
        return Failure(Errc::host_io, what)
            .sys(error)
            .remedy("the parent is going away (driver unbound or unloaded)");
    case EAGAIN:
        return Failure(Errc::host_io, what)
            .sys(error)
            .remedy("its vfio driver is not ready: for GVT-g modprobe kvmgt, then try again");
    case EINVAL:
        return Failure(Errc::host_io, what)
            .sys(error)
            .remedy("the driver took neither UUID nor type: see the kernel log");
    default:
        return host_failure(error, what);
    }
}

MdevDevice create(const vfio::HostRoot& root, std::string_view parent, std::string_view type,
                  const Uuid& uuid, vfio::Deadline deadline) {
    try {
        const auto type_dir = type_path(root, parent, type);
        if (find_device(root, uuid))
            throw exists_failure(root, uuid);
        if (vfio::number_attribute(type_dir / "available_instances") == 0)
            throw full_failure(root, parent, type);
    } catch (Failure& failure) {
        throw failure.during("create vGPU " + uuid.text());
    }
    return make(root, parent, type, uuid, deadline);
}

MdevDevice make(const vfio::HostRoot& root, std::string_view parent, std::string_view type,
                const Uuid& uuid, vfio::Deadline deadline) {
    const auto doing = "create vGPU " + uuid.text();
    try {
        const auto type_dir = type_path(root, parent, type);
        const auto result = vfio::host_write_direct(type_dir / "create", uuid.text() + "\n");
        if (result.outcome != vfio::HostWriteOutcome::done)
            throw create_failure(root, parent, type, uuid, result.error);

        MdevDevice device{.uuid = uuid,
                          .parent = std::string(parent),
                          .type = std::string(type),
                          .iommu_group = std::nullopt,
                          .sysfs = root.told(root.sys("bus/mdev/devices") / uuid.text()),
                          .node = std::nullopt,
                          .state = MdevDevice::State::present};
        const auto missing = missing_part(root, device, deadline);
        if (!missing)
            return device;
        Failure failure(Errc::host_timeout, *missing + " did not appear in time");
        failure.remedy("see the kernel log; is the vfio driver of " + std::string(parent) +
                       " loaded (GVT-g: kvmgt), and does something fill /dev?");
        take_back(root, uuid, failure);
        throw failure;
    } catch (Failure& failure) {
        throw failure.during(doing);
    }
}

} // namespace kata_vfio::mdev
