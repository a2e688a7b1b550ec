// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/vm/mount.hpp"

#include "config/base/failure.hpp"
#include "config/base/file.hpp"
#include "config/base/text.hpp"
#include "config/base/unique_fd.hpp"
#include "runtime-plugin/kernel/mount_options.hpp"
#include "runtime-plugin/shim/log.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>

namespace kata_vfio::shim {
namespace {

void must(int result, const std::string& what) {
    if (result != 0)
        throw host_failure(errno, what);
}

bool is_octal(char c) noexcept {
    return c >= '0' && c <= '7';
}

} // namespace

std::vector<std::string> mount_points(std::string_view mountinfo) {
    std::vector<std::string> points;
    for (const auto line : split(mountinfo, '\n')) {
        // ID PARENT MAJOR:MINOR ROOT POINT ...; proc(5)
        const auto fields = split(line, ' ');
        if (fields.size() < 6)
            continue;
        std::string point;
        const auto field = fields[4];
        for (std::size_t i = 0; i < field.size(); ++i) {
            if (field[i] == '\\' && i + 3 < field.size() && is_octal(field[i + 1]) &&
                is_octal(field[i + 2]) && is_octal(field[i + 3])) {
                point.push_back(static_cast<char>((field[i + 1] - '0') * 64 +
                                                  (field[i + 2] - '0') * 8 + (field[i + 3] - '0')));
                i += 3;
            } else {
                point.push_back(field[i]);
            }
        }
        points.push_back(std::move(point));
    }
    return points;
}

void unmount_below(const vfio::HostRoot& root, const std::filesystem::path& directory) {
    const auto text = read_file(root.proc("self/mountinfo")).value_or("");
    auto points = mount_points(text);
    std::ranges::reverse(points);
    for (const auto& point : points) {
        if (point != directory.native() && !point.starts_with(directory.native() + "/"))
            continue;
        if (::umount2(point.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL)
            log_warning("can't unmount", {{"path", point}, {"error", std::strerror(errno)}});
    }
}

void mount_as_told(const std::string& type, const std::string& source,
                   const std::filesystem::path& target, const std::vector<std::string>& options) {
    const auto sorted = sort_options(options);
    if (sorted.flags & MS_BIND)
        return bind_mount(source, target, (sorted.flags & MS_RDONLY) != 0);
    must(::mount(source.c_str(), target.c_str(), type.c_str(), sorted.flags | MS_NODEV | MS_NOSUID,
                 sorted.data.c_str()),
         "can't mount " + type + " on " + target.native());
}

void bind_mount(const std::filesystem::path& source, const std::filesystem::path& target,
                bool read_only) {
    const auto what = "can't share " + source.native() + " with the guest";
    // Its rights are taken before it is put in its place: what arrives in the share is a copy, and
    // a later change would not.
    const UniqueFd tree(
        ::open_tree(AT_FDCWD, source.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
    if (!tree)
        throw host_failure(errno, what);
    mount_attr rights{};
    rights.attr_set =
        MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | (read_only ? std::uint64_t{MOUNT_ATTR_RDONLY} : 0);
    rights.propagation = MS_PRIVATE;
    must(::mount_setattr(tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &rights, sizeof(rights)),
         what);
    must(::move_mount(tree.get(), "", AT_FDCWD, target.c_str(), MOVE_MOUNT_F_EMPTY_PATH), what);
}

void make_share(const std::filesystem::path& mounts, const std::filesystem::path& shared) {
    for (const auto& path : {mounts, shared})
        if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
            throw host_failure(errno, "can't make " + path.native());
    must(::mount(mounts.c_str(), mounts.c_str(), nullptr, MS_BIND, nullptr),
         "can't make the share");
    must(::mount(nullptr, mounts.c_str(), nullptr, MS_SHARED, nullptr), "can't make the share");
    must(::mount(mounts.c_str(), shared.c_str(), nullptr, MS_BIND, nullptr),
         "can't make the share");
    must(::mount(nullptr, shared.c_str(), nullptr, MS_SLAVE, nullptr), "can't make the share");
    must(::mount(nullptr, shared.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr),
         "can't make the share read-only");
}

} // namespace kata_vfio::shim
