// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "mdev/uuid.hpp"
#include "vfio/deadline.hpp"
#include "vfio/host_root.hpp"
#include "vfio/host_write.hpp"

#include <iosfwd>
#include <optional>
#include <string_view>

namespace kata_vfio::mdev {

enum class RemoveOutcome {
    removed, ///< the directory at the parent is gone: capacity and UUID are free again
    pending, ///< the kernel still waits for somebody to let the device go; ends by itself then
};
std::ostream& operator<<(std::ostream& out, RemoveOutcome outcome);

struct RemoveResult {
    RemoveOutcome outcome = RemoveOutcome::removed;
    /// For pending: the child that is blocked in the write, when it is ours. Keep it
    /// (PendingWrite).
    std::optional<vfio::PendingWrite> helper;
};

/// Removes a mediated device. One that is gone already is `removed`; one whose removal is pending
/// already is only waited for. Call again to wait on. `parent` as find_device() takes it.
///
/// Throws Failure: device_in_use with pid and command of the holder, and nothing is written;
/// permission_denied, host_io. [any-thread]
RemoveResult remove(const vfio::HostRoot& root, const Uuid& uuid, vfio::Deadline deadline,
                    std::string_view parent = {});

} // namespace kata_vfio::mdev
