// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/node_rights.hpp"

#include "config/base/file.hpp"
#include "config/base/text.hpp"
#include "config/base/unique_fd.hpp"
#include "runtime-plugin/plugin/process.hpp"
#include "vfio/sysfs_read.hpp"
#include "vfio/vfio_node.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>

namespace kata_vfio::plugin {
namespace {

std::vector<std::uint32_t> numbers(std::string_view line) {
    std::vector<std::uint32_t> all;
    std::string blank(line);
    std::ranges::replace(blank, '\t', ' ');
    for (const auto word : split(blank, ' '))
        if (const auto number = vfio::number(word); number && *number <= UINT32_MAX)
            all.push_back(static_cast<std::uint32_t>(*number));
    return all;
}

std::optional<std::uint32_t> file_system_id(std::string_view status, std::string_view key) {
    const auto ids =
        numbers(status_value(status, key).value_or("")); // real, effective, saved set, file system
    return ids.size() == 4 ? std::optional(ids[3]) : std::nullopt;
}

/// What a process may do in a user namespace of its own it may not to the host's nodes.
bool in_our_user_namespace(const vfio::HostRoot& root, std::int64_t pid) {
    struct stat ours {
    }, its{};
    return ::stat(root.proc("self/ns/user").c_str(), &ours) != 0 ||
           ::stat((root.proc(std::to_string(pid)) / "ns/user").c_str(), &its) != 0 ||
           (ours.st_ino == its.st_ino && ours.st_dev == its.st_dev);
}

std::string told(int group) {
    return "/dev/vfio/" + std::to_string(group);
}

std::string octal(std::uint32_t mode) {
    std::array<char, 16> text{};
    std::snprintf(text.data(), text.size(), "%04o", mode);
    return text.data();
}

/// The node, not opened: that would take the group. Invalid when it is not there.
UniqueFd find_node(const vfio::HostRoot& root, int group) {
    return UniqueFd(::open(vfio::group_node(root, group).c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
}

bool give(const UniqueFd& node, std::uint32_t uid) {
    return ::fchownat(node.get(), "", uid, static_cast<gid_t>(-1), AT_EMPTY_PATH) == 0;
}

} // namespace

std::optional<Credentials> read_credentials(const vfio::HostRoot& root, std::int64_t pid) {
    constexpr unsigned cap_dac_override = 1; // linux/capability.h
    if (pid <= 0)
        return std::nullopt;
    std::optional<std::string> status;
    try {
        status = read_file(root.proc(std::to_string(pid)) / "status", 65536);
    } catch (const Failure&) { // it may not be looked at, or has just ended
    }
    if (!status)
        return std::nullopt;
    const auto uid = file_system_id(*status, "Uid"), gid = file_system_id(*status, "Gid");
    const auto set = vfio::number(status_value(*status, "CapEff").value_or(""), 16);
    if (!uid || !gid || !set)
        return std::nullopt;
    const bool overrides = (*set >> cap_dac_override & 1) != 0 && in_our_user_namespace(root, pid);
    return Credentials{pid, *uid, *gid, numbers(status_value(*status, "Groups").value_or("")),
                       overrides};
}

bool may_open(const Credentials& who, const FileRights& file) noexcept {
    if (who.overrides)
        return true;
    const bool of_group =
        who.gid == file.gid || std::ranges::find(who.groups, file.gid) != who.groups.end();
    // The first class that fits decides, also when a later one would permit it.
    const unsigned shift = who.uid == file.uid ? 6 : of_group ? 3 : 0;
    return (file.mode >> shift & 6) == 6;
}

std::optional<ClosedNode> closed_node(const vfio::HostRoot& root, const Credentials& who,
                                      const std::filesystem::path& node) {
    struct stat info {};
    if (::lstat(node.c_str(), &info) != 0)
        return std::nullopt;
    const FileRights rights{info.st_uid, info.st_gid, info.st_mode & 07777, info.st_ino};
    if (may_open(who, rights) ||
        ::lgetxattr(node.c_str(), "system.posix_acl_access", nullptr, 0) > 0)
        return std::nullopt;
    return ClosedNode{root.told(node).string(), rights};
}

Failure refusal(const Credentials& who, const ClosedNode& closed, std::string remedy) {
    return Failure(Errc::permission_denied, "QEMU runs as user " + std::to_string(who.uid) +
                                                ", which can't open " + closed.path)
        .blocked_by("the node, of user " + std::to_string(closed.node.uid) + " and group " +
                    std::to_string(closed.node.gid) + " with mode " + octal(closed.node.mode) +
                    "; QEMU is pid " + std::to_string(who.pid))
        .remedy(std::move(remedy));
}

void lend(const vfio::HostRoot& root, const LentNode& node) {
    const auto found = find_node(root, node.group);
    if (!found || !give(found, node.to_uid))
        throw host_failure(errno, "can't make " + told(node.group) + " the node of user " +
                                      std::to_string(node.to_uid))
            .remedy("the process that attaches needs CAP_CHOWN");
}

std::string take_back(const vfio::HostRoot& root, const LentNode& node) {
    const auto found = find_node(root, node.group);
    struct stat info {};
    if (!found || ::fstat(found.get(), &info) != 0 || info.st_ino != node.inode)
        return {}; // it went with its group
    if (info.st_uid != node.to_uid)
        return info.st_uid == node.from_uid
                   ? ""
                   : "it is user " + std::to_string(info.st_uid) + "'s now, by somebody else";
    if (!give(found, node.from_uid))
        throw host_failure(errno, "can't give " + told(node.group) + " back to user " +
                                      std::to_string(node.from_uid))
            .remedy("the process that gives it back needs CAP_CHOWN");
    return {};
}

} // namespace kata_vfio::plugin
