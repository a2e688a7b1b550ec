// SPDX-License-Identifier: Apache-2.0
#include "mdev/mdev_remove.hpp"

#include "config/base/failure.hpp"
#include "mdev/mdev_device.hpp"
#include "vfio/group_holder.hpp"
#include "vfio/wait_path.hpp"

#include <cerrno>
#include <ostream>

namespace kata_vfio::mdev {
namespace {

bool name_gone(const std::filesystem::path& path) {
    return !std::filesystem::exists(std::filesystem::symlink_status(path));
}

} // namespace

std::ostream& operator<<(std::ostream& out, RemoveOutcome outcome) {
    return out << (outcome == RemoveOutcome::removed ? "removed" : "pending");
}

RemoveResult remove(const vfio::HostRoot& root, const Uuid& uuid, vfio::Deadline deadline,
                    std::string_view parent) {
    const auto device = find_device(root, uuid, parent);
    if (!device)
        return {};
    const auto dir = parent_side(root, *device);
    const auto proven = [&](std::optional<vfio::PendingWrite> helper) -> RemoveResult {
        if (vfio::wait_gone(dir, deadline, root.watches()))
            return {RemoveOutcome::removed, std::nullopt};
        return {RemoveOutcome::pending, std::move(helper)};
    };
    if (device->state == MdevDevice::State::pending_removal)
        return proven(std::nullopt);

    // Open until the write has returned, so that no QEMU takes it between the check and the write.
    UniqueFd held;
    if (device->iommu_group)
        held = vfio::hold_group(root, *device->iommu_group, "vGPU " + uuid.text());

    auto result = vfio::host_write(dir / "remove", "1\n", deadline);
    switch (result.outcome) {
    case vfio::HostWriteOutcome::pending:
        // A last look: the write may have ended together with the deadline.
        if (name_gone(dir) &&
            result.helper->wait(std::chrono::seconds(0)).outcome != vfio::HostWriteOutcome::pending)
            return {};
        return {RemoveOutcome::pending, std::move(result.helper)};
    case vfio::HostWriteOutcome::done:
        held.reset();
        return proven(std::nullopt);
    case vfio::HostWriteOutcome::failed:
        break;
    }
    held.reset();
    // Somebody else removed it at the same time; the directory tells how far that is.
    if (result.error == ENOENT || result.error == ENODEV || result.error == EAGAIN) {
        const auto now = find_device(root, uuid);
        if (!now || now->state == MdevDevice::State::pending_removal)
            return proven(std::nullopt);
    }
    throw host_failure(result.error, "can't remove vGPU " + uuid.text() + " (" +
                                         root.told(dir / "remove").string() + ")");
}

} // namespace kata_vfio::mdev
