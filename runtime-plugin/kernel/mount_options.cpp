// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/kernel/mount_options.hpp"

#include <sys/mount.h>

#include <algorithm>
#include <string_view>

namespace kata_vfio {
namespace {

struct Option {
    std::string_view name;
    unsigned long set = 0, clear = 0, propagation = 0;
};
// runc's table (libcontainer/specconv), which is what OCI's options mean in practice.
constexpr Option options_known[] = {
    {"defaults"},
    {"async", 0, MS_SYNCHRONOUS},
    {"atime", 0, MS_NOATIME},
    {"bind", MS_BIND},
    {"dev", 0, MS_NODEV},
    {"diratime", 0, MS_NODIRATIME},
    {"dirsync", MS_DIRSYNC},
    {"exec", 0, MS_NOEXEC},
    {"noatime", MS_NOATIME},
    {"nodev", MS_NODEV},
    {"nodiratime", MS_NODIRATIME},
    {"noexec", MS_NOEXEC},
    {"norelatime", 0, MS_RELATIME},
    {"nostrictatime", 0, MS_STRICTATIME},
    {"nosuid", MS_NOSUID},
    {"private", 0, 0, MS_PRIVATE},
    {"rbind", MS_BIND | MS_REC},
    {"relatime", MS_RELATIME},
    {"ro", MS_RDONLY},
    {"rprivate", 0, 0, MS_PRIVATE | MS_REC},
    {"rro", MS_RDONLY},
    {"rshared", 0, 0, MS_SHARED | MS_REC},
    {"rslave", 0, 0, MS_SLAVE | MS_REC},
    {"runbindable", 0, 0, MS_UNBINDABLE | MS_REC},
    {"rw", 0, MS_RDONLY},
    {"shared", 0, 0, MS_SHARED},
    {"slave", 0, 0, MS_SLAVE},
    {"strictatime", MS_STRICTATIME},
    {"suid", 0, MS_NOSUID},
    {"sync", MS_SYNCHRONOUS},
    {"unbindable", 0, 0, MS_UNBINDABLE},
};

} // namespace

MountFlags sort_options(const std::vector<std::string>& options) {
    MountFlags sorted;
    for (const auto& option : options) {
        const auto known = std::ranges::find(options_known, option, &Option::name);
        if (known == std::end(options_known)) {
            if (!option.empty())
                sorted.data += (sorted.data.empty() ? "" : ",") + option;
            continue;
        }
        sorted.flags = (sorted.flags | known->set) & ~known->clear;
        if (known->propagation)
            sorted.propagation = known->propagation;
    }
    return sorted;
}

} // namespace kata_vfio
