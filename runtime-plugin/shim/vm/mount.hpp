// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vfio/host_root.hpp"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::shim {

/// The mount points of a /proc/self/mountinfo, in its order, with the kernel's octal escapes
/// undone. Pure.
std::vector<std::string> mount_points(std::string_view mountinfo);

/// Lets go of every mount at or below `directory`, the last one first. What is in use stays behind
/// for its user alone (MNT_DETACH). What can't be unmounted is logged.
void unmount_below(const vfio::HostRoot& root, const std::filesystem::path& directory);

/// Mounts as containerd asks for a container's root file system: type, source, mount(8) options
/// (bind, rbind, ro, rw and the like; the rest are the file system's own). Throws Failure(host_io).
/// Here and in bind_mount() without devices and set-uid programs: a guest may make both, and they
/// are to mean nothing on the host. In the guest they work: its own mount decides there.
void mount_as_told(const std::string& type, const std::string& source,
                   const std::filesystem::path& target, const std::vector<std::string>& options);

/// `source`, and what is mounted in it, at `target`; read-only down to the last of them.
void bind_mount(const std::filesystem::path& source, const std::filesystem::path& target,
                bool read_only);

/// `mounts` becomes a mount whose later sub-mounts show up in `shared`, which is read-only itself:
/// so the guest, which QEMU serves `shared`, can't move or replace what is mounted there.
void make_share(const std::filesystem::path& mounts, const std::filesystem::path& shared);

} // namespace kata_vfio::shim
