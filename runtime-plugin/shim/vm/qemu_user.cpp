// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/vm/qemu_user.hpp"

#include "config/base/failure.hpp"
#include "config/base/file.hpp"
#include "config/base/unique_fd.hpp"
#include "runtime-plugin/plugin/file_lock.hpp"
#include "vfio/sysfs_read.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <random>
#include <set>
#include <utility>

namespace kata_vfio::shim {
namespace {

constexpr const char* user_file = "user";

std::set<std::uint64_t> users_in(const std::filesystem::path& places) {
    std::set<std::uint64_t> taken;
    for (const auto& name : vfio::names_in(places))
        if (const auto text = vfio::attribute(places / name / user_file))
            if (const auto id = vfio::number(*text))
                taken.insert(*id);
    return taken;
}

std::vector<std::uint32_t> require_kvm(const vfio::HostRoot& root, std::uint32_t id) {
    const auto path = root.dev("kvm");
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0)
        throw host_failure(errno, "can't see /dev/kvm");
    if (auto groups = kvm_groups(id, {info.st_uid, info.st_gid, info.st_mode & 07777, info.st_ino}))
        return *std::move(groups);
    throw Failure(Errc::config_invalid, "a rootless QEMU can't open /dev/kvm")
        .blocked_by("its group, " + std::to_string(info.st_gid) + ", or its mode")
        .remedy("give it to a group of its own that may read and write it, as udev does: "
                "chown root:kvm /dev/kvm && chmod 0660 /dev/kvm");
}

} // namespace

std::optional<std::vector<std::uint32_t>> kvm_groups(std::uint32_t id,
                                                     const plugin::FileRights& kvm) {
    using Groups = std::vector<std::uint32_t>;
    if (plugin::may_open({0, id, id, {}, false}, kvm))
        return Groups{};
    if (kvm.gid != 0 && plugin::may_open({0, id, id, {kvm.gid}, false}, kvm))
        return Groups{kvm.gid};
    return std::nullopt;
}

QemuUser take_user(const vfio::HostRoot& root, const Place& place, config::UidRange range,
                   bool kvm) {
    const auto places = place.directory().parent_path();
    UniqueFd directory(::open(places.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory || ::flock(directory.get(), LOCK_EX) != 0)
        throw host_failure(errno, "can't lock " + places.native());
    const plugin::FileLock lock(std::move(directory));
    const auto taken = users_in(places);
    // Not the lowest: one that has just been given up may still own what could not be given back.
    std::random_device random;
    auto id = range.first + std::uniform_int_distribution<std::uint32_t>(
                                0, static_cast<std::uint32_t>(range.size() - 1))(random);
    for (std::uint64_t tried = 0; taken.contains(id); ++tried) {
        if (tried == range.size())
            throw Failure(Errc::config_invalid, "every user id of rootless_uids is a sandbox's")
                .remedy("make the range in [vfio] larger");
        id = id == range.last ? range.first : id + 1;
    }
    QemuUser user{id, kvm ? require_kvm(root, id) : std::vector<std::uint32_t>{}};
    write_atomically(place.at(user_file), std::to_string(id) + "\n");
    return user;
}

} // namespace kata_vfio::shim
