// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace kata_vfio {

/// Options of mount(8), sorted for mount(2).
struct MountFlags {
    unsigned long flags = 0;       ///< MS_*
    unsigned long propagation = 0; ///< MS_PRIVATE and so on, one call of its own
    std::string data;              ///< what only the file system knows, separated by commas
};

/// Pure. Later options win over earlier ones ("ro,rw" is writable); unknown ones are the file
/// system's.
MountFlags sort_options(const std::vector<std::string>& options);

} // namespace kata_vfio
