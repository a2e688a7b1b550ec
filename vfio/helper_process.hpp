// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vfio/host_write.hpp"

#include <fcntl.h>

#include <cstddef>

namespace kata_vfio::vfio {

/// Never through a link as the last component (the attribute itself is a plain file on sysfs), and
/// O_TRUNC as a shell's `>` has it: nothing to sysfs, and in a plain file no old text is left.
inline constexpr int helper_write_flags = O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY;

/// What the child does: one write of `bytes`, or one read when there are none.
struct HelperJob {
    const char* path;
    const char* bytes;
    std::size_t size;
};

/// The inside of PendingWrite. Only host_write.cpp uses it.
struct HelperAccess {
    static PendingWrite start(const HelperJob& job);
    /// Waits until the child has ended, and reaps it; false at the deadline.
    static bool ended(PendingWrite& child, Deadline deadline);
    /// After ended(): what the child answered; then the descriptors are closed.
    static HostWriteResult result(PendingWrite& child);
    static std::optional<std::string> text(PendingWrite& child);
};

} // namespace kata_vfio::vfio
