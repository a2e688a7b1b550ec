// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"
#include "vfio/host_root.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

/// Whether QEMU, which opens /dev/vfio/N itself, may: one that runs as a user of its own can only
/// where the node is that user's, or its mode lets it. What can't be told refuses nothing.
namespace kata_vfio::plugin {

/// What the kernel decides by when a process opens a file. proc(5), /proc/PID/status.
struct Credentials {
    std::int64_t pid = 0;
    std::uint32_t uid = 0, gid = 0; ///< of the file system
    std::vector<std::uint32_t> groups;
    /// CAP_DAC_OVERRIDE, in our own user namespace: modes do not bind it.
    bool overrides = false;
};
/// nullopt: no such process (0 is none), or its status does not say.
std::optional<Credentials> read_credentials(const vfio::HostRoot& root, std::int64_t pid);

struct FileRights {
    std::uint32_t uid = 0, gid = 0, mode = 0; ///< mode: the permission bits
    std::uint64_t inode = 0;
};
/// Read and write.
bool may_open(const Credentials& who, const FileRights& file) noexcept;

/// A node that QEMU can't open.
struct ClosedNode {
    std::string path; ///< as a person names it
    FileRights node;
};
/// nullopt: it can, or that can't be told (no node, an access control list).
std::optional<ClosedNode> closed_node(const vfio::HostRoot& root, const Credentials& who,
                                      const std::filesystem::path& node);
/// The refusal, naming user, node and mode, and what `remedy` says.
Failure refusal(const Credentials& who, const ClosedNode& closed, std::string remedy);

/// A group's node that was made QEMU's for as long as an attachment has it. Its group and mode stay
/// as they are.
struct LentNode {
    int group = 0;
    std::uint32_t from_uid = 0, to_uid = 0;
    /// The node itself: one that is made anew under its number is not it.
    std::uint64_t inode = 0;
    bool operator==(const LentNode&) const = default;
};
/// Throws Failure.
void lend(const vfio::HostRoot& root, const LentNode& node);
/// "": it is given back, or is gone; else why it was left as it is. Throws Failure.
std::string take_back(const vfio::HostRoot& root, const LentNode& node);

} // namespace kata_vfio::plugin
