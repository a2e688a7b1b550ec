// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "mdev/mdev_device.hpp"
#include "runtime-plugin/plugin/recovery.hpp"
#include "vfio/deadline.hpp"
#include "vfio/host_root.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace kata_vfio::plugin {

/// Mediated devices that were looked up before, by UUID.
using KnownMdevs = std::map<std::string, mdev::MdevDevice>;

/// Of the host, what the journal and the attachments name. Reads a few files for each; blocks 200
/// ms at most, and that only for a function whose unbind is under way. [any-thread]
///
/// `groups`: also which of their IOMMU groups are open, which means opening each for an instant.
/// `known`: taken as it is; one that is not among them is looked for.
HostPicture look_at_host(const vfio::HostRoot& root, const Claims& claims,
                         const std::optional<LeftJournal>& journal, const SandboxState& state,
                         bool groups = false, const KnownMdevs* known = nullptr);

/// The process that the sandbox belongs to is gone; false when it belongs to none.
bool orphaned(const vfio::HostRoot& root, const SandboxState& state);

/// QEMU's life by what is on record of its process, without asking its monitor: `unknown` when its
/// pid was never known. And whether the sandbox is orphaned.
QemuPicture look_at_qemu(const vfio::HostRoot& root, const SandboxState& state);

/// The same for one whose pid is not known and whose monitor is closed: it runs as long as a group
/// of its devices is open (`host` with groups).
QemuPicture judge_by_groups(const HostPicture& host);

/// Waits until that is so: false when the deadline passed first, and then `blocker` says who has
/// one open. Blocks.
bool await_let_go(const vfio::HostRoot& root, const Claims& claims,
                  const std::optional<LeftJournal>& journal, const SandboxState& state,
                  vfio::Deadline deadline, std::string& blocker);

/// The process that has the attachment's group open, with pid 0 when none is to be seen. Looks
/// through /proc.
PendingOn pending_on(const vfio::HostRoot& root, const Attachment& attachment);

} // namespace kata_vfio::plugin
