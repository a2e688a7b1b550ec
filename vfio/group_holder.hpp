// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"
#include "vfio/host_root.hpp"

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace kata_vfio::vfio {

/// A process that has a VFIO node open.
struct Holder {
    pid_t pid = 0;
    std::string command; ///< /proc/PID/comm, "" when it may not be read

    bool operator==(const Holder&) const = default;
};

/// "pid 4711 (qemu-system-x86)"
std::string text(const Holder& holder);

/// The processes with `node` (a host path: "/dev/vfio/12") open, by pid. Looks through /proc/*/fd,
/// so it costs a few ms on a busy host; sees only what this process may see (root, same pid
/// namespace): an empty answer is no proof, group_busy() is.
std::vector<Holder> find_holders(const HostRoot& root, const std::filesystem::path& node);

/// What processes have open of VFIO, by one look through /proc: for many devices, and nothing is
/// opened. Sees what find_holders() sees, by the nodes' own names alone.
struct OpenVfio {
    std::map<std::string, std::vector<Holder>> nodes; ///< by "/dev/vfio/N", "/dev/vfio/devices/.."
    /// Those with a device open and not its group: who was passed such a descriptor, or has closed
    /// the group. The kernel keeps the group busy all the same. By device (BDF or UUID), which
    /// Linux tells from 6.18 on (fdinfo, vfio-device-syspath).
    std::map<std::string, std::vector<Holder>> devices;
    /// The same on a kernel before that: of which device is not to be told.
    std::vector<Holder> untold;
};
OpenVfio find_open_vfio(const HostRoot& root);

/// Who holds a group that is busy: by its node or a device's own, or else by a device alone. On a
/// kernel that does not tell whose device that is they are those that may be it, mostly one.
std::vector<Holder> group_holders(const HostRoot& root, int group);

/// Whether some process has the group, or a device of it by cdev, open. Found out by opening
/// /dev/vfio/N, which the kernel grants to one opener at a time (EBUSY); for the instant of the
/// call a concurrent opener would meet EBUSY too. Where there is no group node (cdev-only kernels,
/// fixtures) /proc is searched instead. False for a group no device of which is on VFIO.
/// Throws Failure(permission_denied, host_io).
bool group_busy(const HostRoot& root, int group);

/// As group_busy(), but throws Failure(device_in_use) that names the holders, and else keeps the
/// group open in the answer, so that nobody can take it between the check and what follows. An open
/// group without an open device blocks neither remove nor unbind. The descriptor may be none where
/// there is no node to hold. `what` is the subject of the text, e.g. "vGPU bbc4...".
UniqueFd hold_group(const HostRoot& root, int group, const std::string& what);

} // namespace kata_vfio::vfio
