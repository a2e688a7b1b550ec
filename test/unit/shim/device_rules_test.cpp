// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/vm/device_rules.hpp"

#include "config/base/failure.hpp"
#include "runtime-plugin/shim/vm/cgroup.hpp"
#include "test/unit/plugin/temp_dir.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

namespace kata_vfio::shim {
namespace {
using plugin::DeviceAccess;
using plugin::Judgement;

DeviceAccess character(std::uint32_t major, std::uint32_t minor) {
    DeviceAccess access;
    access.major = major;
    access.minor = minor;
    return access;
}

class DeviceRules : public ::testing::Test {
  protected:
    DeviceRules() {
        for (const auto* directory : {"proc", "sys/class/misc/iommu"})
            std::filesystem::create_directories(host.path() / directory);
    }
    Judgement of(const DeviceAccess& access) const {
        return plugin::run_program(device_program(qemu_devices(root)), access);
    }
    plugin::TempDir host;
    vfio::HostRoot root{host.path()};
};

TEST_F(DeviceRules, LetQemuHaveKvmAndVfioAndNothingElse) {
    host.write("proc/devices", "Character devices:\n  1 mem\n238 vfio-dev\n239 vfio\n\n"
                               "Block devices:\n254 vfio\n259 blkext\n");
    host.write("sys/class/misc/iommu/dev", "10:125\n");
    EXPECT_EQ(of(character(10, 232)), Judgement::allowed) << "kvm";
    EXPECT_EQ(of(character(10, 196)), Judgement::allowed) << "vfio/vfio";
    EXPECT_EQ(of(character(10, 125)), Judgement::allowed) << "iommu";
    EXPECT_EQ(of(character(239, 0)), Judgement::allowed) << "a group";
    EXPECT_EQ(of(character(239, 4000)), Judgement::allowed) << "another group";
    EXPECT_EQ(of(character(238, 7)), Judgement::allowed) << "a device";
    EXPECT_EQ(of(character(1, 3)), Judgement::allowed) << "null";
    EXPECT_EQ(of(character(5, 0)), Judgement::allowed) << "tty";
    EXPECT_EQ(of(character(1, 1)), Judgement::denied) << "mem";
    EXPECT_EQ(of(character(10, 200)), Judgement::denied) << "net/tun";
    EXPECT_EQ(of(character(254, 0)), Judgement::denied) << "a block device's major";
    for (const std::uint32_t major : {8u, 10u, 239u, 259u}) {
        auto disk = character(major, 196);
        disk.block = true;
        EXPECT_EQ(of(disk), Judgement::denied) << major;
    }
    auto made = character(239, 0);
    made.read = made.write = false;
    made.make = true;
    EXPECT_EQ(of(made), Judgement::denied);
}

TEST_F(DeviceRules, HaveVfiosMajorsOnceTheyAreThere) {
    host.write("proc/devices", "Character devices:\n  1 mem\n\nBlock devices:\n");
    EXPECT_EQ(of(character(239, 0)), Judgement::denied);
    EXPECT_EQ(of(character(10, 232)), Judgement::allowed);
}

/// errno of opening it in a process of the group; 0: it could be opened.
int opened_in(const HostCgroup& group, const char* path) {
    const pid_t pid = ::fork();
    if (pid == 0) {
        group.take(::getpid());
        ::_exit(::open(path, O_RDONLY | O_CLOEXEC) < 0 ? errno : 0);
    }
    int status = -1;
    ::waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// By this machine's kernel, where it has the unified hierarchy mounted somewhere.
TEST(DeviceProgram, HoldsTheProcessesOfACgroup) {
    std::string unified;
    std::ifstream mounts("/proc/self/mounts");
    for (std::string device, point, type, rest; mounts >> device >> point >> type;) {
        std::getline(mounts, rest);
        if (type == "cgroup2")
            unified = point;
    }
    if (unified.empty() || ::geteuid() != 0)
        GTEST_SKIP() << "no cgroup2 mount that is ours to change";
    plugin::TempDir host;
    std::filesystem::create_directories(host.path() / "sys/fs");
    std::filesystem::create_directory_symlink(unified, host.path() / "sys/fs/cgroup");
    HostCgroup group(vfio::HostRoot(host.path()), "/kata-vfio-unit-" + std::to_string(::getpid()));
    const DeviceRule null{1, 3}, zero{1, 5};
    try {
        group.allow({null});
    } catch (const Failure& failure) {
        group.remove();
        GTEST_SKIP() << failure.what();
    }
    EXPECT_EQ(opened_in(group, "/dev/null"), 0);
    EXPECT_EQ(opened_in(group, "/dev/zero"), EPERM);
    group.allow({null, zero});
    EXPECT_EQ(opened_in(group, "/dev/zero"), 0) << "the first program is still there";
    EXPECT_EQ(opened_in(group, "/dev/full"), EPERM);
    group.allow({zero});
    EXPECT_EQ(opened_in(group, "/dev/null"), EPERM);
    group.remove();
    EXPECT_FALSE(std::filesystem::exists(group.directory()));
}

TEST(DeviceProgram, WithoutRulesAllowsNothing) {
    EXPECT_EQ(plugin::run_program(device_program({}), character(1, 3)), Judgement::denied);
}

} // namespace
} // namespace kata_vfio::shim
