// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"
#include "mdev/mdev_device.hpp"
#include "vfio/deadline.hpp"

#include <string_view>

namespace kata_vfio::mdev {

/// Makes a mediated device and waits until it can be given to a guest: its directory, its IOMMU
/// group and its node exist. The UUID is the caller's, so that a journal can know it before.
///
/// Throws Failure, and nothing is then left (or the text says what):
///   parent_not_found, type_not_found   as find_type()
///   uuid_exists     and where it is; EEXIST
///   no_instances    with what is free now and the vGPUs that use the parent; ENOSPC, EUSERS
///   permission_denied   EACCES, EPERM, EROFS (read-only sysfs of a container)
///   host_io         EINVAL, ENODEV (parent going away), ENOMEM, any other errno
///   host_timeout    made, but no group or no node by the deadline: removed again
/// [any-thread]; blocks until the deadline at most, the kernel's own work in create not counted.
MdevDevice create(const vfio::HostRoot& root, std::string_view parent, std::string_view type,
                  const Uuid& uuid, vfio::Deadline deadline);

/// The same for a caller that has just looked whether the type has an instance left and the UUID is
/// free: the write alone decides, with the kernel's ENOSPC and EEXIST told as create() tells them.
MdevDevice make(const vfio::HostRoot& root, std::string_view parent, std::string_view type,
                const Uuid& uuid, vfio::Deadline deadline);

/// The errno table of a write to `create`, alone. Looks at the host for what to tell.
Failure create_failure(const vfio::HostRoot& root, std::string_view parent, std::string_view type,
                       const Uuid& uuid, int error);

} // namespace kata_vfio::mdev
