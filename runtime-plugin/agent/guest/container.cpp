// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/agent/guest/container.hpp"

#include "runtime-plugin/agent/guest/device.hpp"
#include "runtime-plugin/agent/guest/root_path.hpp"
#include "runtime-plugin/kernel/mount_options.hpp"
#include "runtime-plugin/kernel/system_error.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace kata_vfio::agent {
namespace {

std::string share(const std::string& name) {
    return std::string(share_directory) + "/" + name;
}

bool is_directory(const std::string& path) {
    struct stat info {};
    return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

/// Flags of a bind mount have to be set again, and may only take rights away from what is there.
void remount(const std::string& target, unsigned long flags, const std::string& what) {
    struct statvfs now {};
    must(::statvfs(target.c_str(), &now), what);
    unsigned long kept = 0;
    constexpr std::array<std::pair<unsigned long, unsigned long>, 4> pairs{
        {{ST_NOSUID, MS_NOSUID},
         {ST_NODEV, MS_NODEV},
         {ST_NOEXEC, MS_NOEXEC},
         {ST_RDONLY, MS_RDONLY}}};
    for (const auto& [state, flag] : pairs)
        if (now.f_flag & state)
            kept |= flag;
    must(::mount(nullptr, target.c_str(), nullptr,
                 MS_REMOUNT | MS_BIND | kept | (flags & ~static_cast<unsigned long>(MS_REC)),
                 nullptr),
         "can't set the options of " + what);
}

void bind_mount(const RootPath& root, const MountSpec& mount, const std::string& source) {
    const auto options = sort_options(mount.options);
    const auto place = is_directory(source) ? root.make_directory(mount.destination)
                                            : root.make_file(mount.destination);
    must(::mount(source.c_str(), RootPath::mountable(place).c_str(), nullptr, MS_BIND | MS_REC,
                 nullptr),
         "can't mount " + mount.destination);
    if (options.flags & ~static_cast<unsigned long>(MS_BIND | MS_REC)) {
        // `place` names what is below the new mount now: look again.
        const auto mounted = root.at(mount.destination);
        remount(RootPath::mountable(mounted), options.flags, mount.destination);
    }
}

void mount_kernel(const RootPath& root, const MountSpec& mount) {
    constexpr std::array<std::string_view, 7> known{"proc",   "sysfs",  "tmpfs",  "devpts",
                                                    "mqueue", "cgroup", "cgroup2"};
    if (std::ranges::find(known, mount.type) == known.end())
        throw SystemError("a mount of type '" + mount.type + "' on " + mount.destination +
                              " is not known in the guest",
                          ENODEV);
    auto options = sort_options(mount.options);
    const auto place = root.make_directory(mount.destination);
    // The guest has the unified hierarchy alone.
    const bool cgroup = mount.type.starts_with("cgroup");
    must(::mount(mount.source.empty() ? mount.type.c_str() : mount.source.c_str(),
                 RootPath::mountable(place).c_str(), cgroup ? "cgroup2" : mount.type.c_str(),
                 options.flags & ~static_cast<unsigned long>(MS_BIND | MS_REC),
                 cgroup ? nullptr : options.data.c_str()),
         "can't mount " + mount.type + " on " + mount.destination);
}

void make_node(const RootPath& root, const std::string& path, mode_t mode, dev_t number,
               std::uint32_t uid, std::uint32_t gid) {
    const auto [parent, name] = root.parent_of(path);
    if (::mknodat(parent.get(), name.c_str(), mode, number) != 0) {
        // A bind mount of the guest's /dev has it.
        if (errno == EEXIST)
            return;
        throw SystemError("can't make the device node " + path, errno);
    }
    must(::fchownat(parent.get(), name.c_str(), uid, gid, AT_SYMLINK_NOFOLLOW), path);
    must(::fchmodat(parent.get(), name.c_str(), mode & 07777, 0), path);
}

void copy_node(const RootPath& root, const DeviceSpec& device) {
    struct stat info {};
    if (::stat(device.path.c_str(), &info) != 0 ||
        !(S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode))) {
        if (device.optional)
            return;
        throw SystemError("the guest has no device " + device.path, ENODEV);
    }
    make_node(root, device.path, (info.st_mode & S_IFMT) | device.mode, info.st_rdev, device.uid,
              device.gid);
}

void link_in_dev(const RootPath& root, const char* target, const char* path) {
    const auto [parent, name] = root.parent_of(path);
    if (::symlinkat(target, parent.get(), name.c_str()) != 0 && errno != EEXIST)
        throw SystemError(path, errno);
}

void fill_dev(const RootPath& root, const ContainerSpec& spec) {
    // runtime-spec, config-linux.md, "Default Devices".
    for (const char* path :
         {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"})
        copy_node(root, DeviceSpec{path, 0666, 0, 0, false});
    link_in_dev(root, "/proc/self/fd", "/dev/fd");
    link_in_dev(root, "/proc/self/fd/0", "/dev/stdin");
    link_in_dev(root, "/proc/self/fd/1", "/dev/stdout");
    link_in_dev(root, "/proc/self/fd/2", "/dev/stderr");
    link_in_dev(root, "pts/ptmx", "/dev/ptmx");
    for (const auto& device : spec.devices)
        copy_node(root, device);
    for (const auto& address : spec.plugged)
        for (const auto& node : nodes_of(vfio::HostRoot(), address))
            make_node(root, "/dev/" + node.name, (node.block ? S_IFBLK : S_IFCHR) | 0666,
                      ::makedev(node.major, node.minor), 0, 0);
}

void mask(const RootPath& root, const std::string& path) {
    try {
        const auto place = root.at(path);
        const auto target = RootPath::mountable(place);
        if (is_directory(target))
            must(::mount("tmpfs", target.c_str(), "tmpfs", MS_RDONLY, "size=0k"),
                 "can't mask " + path);
        else
            must(::mount("/dev/null", target.c_str(), nullptr, MS_BIND, nullptr),
                 "can't mask " + path);
    } catch (const SystemError& error) {
        if (error.number() != ENOENT && error.number() != ENOTDIR)
            throw;
    }
}

void make_read_only(const RootPath& root, const std::string& path) {
    try {
        {
            const auto place = root.at(path);
            const auto target = RootPath::mountable(place);
            must(::mount(target.c_str(), target.c_str(), nullptr, MS_BIND | MS_REC, nullptr), path);
        }
        const auto mounted = root.at(path);
        remount(RootPath::mountable(mounted), MS_RDONLY, path);
    } catch (const SystemError& error) {
        if (error.number() != ENOENT && error.number() != ENOTDIR)
            throw;
    }
}

void change_root(const std::string& directory) {
    must(::chdir(directory.c_str()), directory);
    // runc's way without a place for the old root: it is put over the new one, and taken away.
    must(static_cast<int>(::syscall(SYS_pivot_root, ".", ".")),
         "can't change the root to " + directory);
    must(::umount2(".", MNT_DETACH), "can't let the guest's root go");
    must(::chdir("/"), "/");
}

} // namespace

void enter_new_container(const ContainerSpec& spec) {
    // Before its cgroup file system is mounted, whose top is then the container's group.
    must(::unshare(CLONE_NEWCGROUP), "no cgroup namespace");
    must(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "can't make mounts private");
    const auto directory = share(spec.root);
    // pivot_root wants a mount.
    must(::mount(directory.c_str(), directory.c_str(), nullptr, MS_BIND | MS_REC, nullptr),
         "can't use the root file system");
    if (!spec.hostname.empty())
        must(::sethostname(spec.hostname.data(), spec.hostname.size()), "can't set the host name");
    {
        const RootPath root(directory);
        bool guest_dev = false;
        for (const auto& mount : spec.mounts) {
            switch (mount.origin) {
            case MountSpec::Origin::kernel:
                mount_kernel(root, mount);
                break;
            case MountSpec::Origin::share:
                bind_mount(root, mount, share(mount.source));
                break;
            case MountSpec::Origin::guest:
                bind_mount(root, mount, mount.source);
                guest_dev = guest_dev || mount.destination == "/dev";
                break;
            }
        }
        // With the guest's own /dev in place all nodes are there, and must not be made anew in it.
        if (!guest_dev)
            fill_dev(root, spec);
        for (const auto& path : spec.masked)
            mask(root, path);
        for (const auto& path : spec.read_only_paths)
            make_read_only(root, path);
        if (spec.read_only)
            remount(directory, MS_RDONLY, "the root file system");
    }
    change_root(directory);
}

} // namespace kata_vfio::agent
