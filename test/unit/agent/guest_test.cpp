// SPDX-License-Identifier: Apache-2.0
// What of the guest's side is pure, or works below any directory.
#include "runtime-plugin/agent/guest/cgroup.hpp"
#include "runtime-plugin/agent/guest/device.hpp"
#include "runtime-plugin/agent/guest/modules.hpp"
#include "runtime-plugin/agent/guest/port.hpp"
#include "runtime-plugin/agent/guest/process.hpp"
#include "runtime-plugin/agent/guest/root_path.hpp"
#include "runtime-plugin/agent/guest/uevent.hpp"
#include "runtime-plugin/kernel/mount_options.hpp"
#include "test/unit/plugin/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <vector>

namespace kata_vfio::agent {
namespace {
namespace fs = std::filesystem;
using plugin::TempDir;
using ::testing::ElementsAre;

TEST(MountOptions, AreSorted) {
    const auto sorted = sort_options(
        {"nosuid", "noexec", "size=65536k", "mode=755", "ro", "rw", "rprivate", "defaults", ""});
    EXPECT_EQ(sorted.flags, static_cast<unsigned long>(MS_NOSUID | MS_NOEXEC));
    EXPECT_EQ(sorted.propagation, static_cast<unsigned long>(MS_PRIVATE | MS_REC));
    EXPECT_EQ(sorted.data, "size=65536k,mode=755");
}

TEST(Port, IsVsocksWhereTheCommandLineNamesOne) {
    EXPECT_EQ(vsock_port("quiet kata_vfio.vsock=4294967294 x=y\n"), 4294967294u);
    EXPECT_EQ(vsock_port("kata_vfio.vsock=17\n"), 17u);
    for (const auto* line :
         {"", "quiet", "kata_vfio.vsock=", "kata_vfio.vsock=x", "kata_vfio.vsock=17x",
          "kata_vfio.vsock=4294967296", "not_kata_vfio.vsock=17"})
        EXPECT_EQ(vsock_port(line), std::nullopt) << line;
}

TEST(Modules, AliasAndOrder) {
    const ModuleIndex index("# comment\n"
                            "alias pci:v00001234d00001111sv*sd*bc*sc*i* bochs\n"
                            "alias pci:v00008086d*sv*sd*bc03sc*i* i915\n",
                            "bochs.ko: drm-helper.ko drm.ko\ndrm-helper.ko: drm.ko\ndrm.ko:\n");
    EXPECT_THAT(index.for_alias("pci:v00001234d00001111sv00001AF4sd00001100bc03sc80i00"),
                ElementsAre("bochs"));
    EXPECT_THAT(index.for_alias("pci:v00001AF4d00001000sv0sd0bc02sc00i00"), ElementsAre());
    EXPECT_THAT(index.files_of("bochs"), ElementsAre("drm.ko", "drm-helper.ko", "bochs.ko"));
    EXPECT_THAT(index.files_of("drm_helper"), ElementsAre("drm.ko", "drm-helper.ko"));
    EXPECT_THAT(index.files_of("nothing"), ElementsAre());
}

class Quiet : public ::testing::Environment {
    void SetUp() override { ::signal(SIGPIPE, SIG_IGN); }
};
const auto* const quiet = ::testing::AddGlobalTestEnvironment(new Quiet);

TEST(Uevent, OfTheKernel) {
    const std::string message("add@/devices/x\0ACTION=add\0MODALIAS=pci:v1\0DEVNAME=dri/card0\0",
                              60);
    const auto event = parse_uevent(message);
    ASSERT_TRUE(event);
    EXPECT_EQ(event->action, "add");
    EXPECT_EQ(event->values.at("MODALIAS"), "pci:v1");
    EXPECT_FALSE(parse_uevent(std::string("libudev\0\xfe\xed", 10)));
    EXPECT_FALSE(parse_uevent(""));
}

/// A display function with a driver; `card`: its node is there.
void add_display(const TempDir& dir, bool driver, bool card) {
    const auto real = dir.path() / "sys/devices/pci0000:00/0000:00:0f.0";
    fs::create_directories(real);
    fs::create_directories(dir.path() / "sys/bus/pci/devices");
    fs::create_directories(dir.path() / "sys/bus/pci/drivers/bochs-drm");
    fs::create_symlink(real, dir.path() / "sys/bus/pci/devices/0000:00:0f.0");
    dir.write("sys/devices/pci0000:00/0000:00:0f.0/class", "0x038000\n");
    dir.write("sys/devices/pci0000:00/0000:00:0f.0/uevent", "PCI_CLASS=38000\n");
    if (driver)
        fs::create_symlink(dir.path() / "sys/bus/pci/drivers/bochs-drm", real / "driver");
    if (card) {
        fs::create_directories(real / "drm/card0");
        dir.write("sys/devices/pci0000:00/0000:00:0f.0/drm/card0/uevent",
                  "MAJOR=226\nMINOR=0\nDEVNAME=dri/card0\nDEVTYPE=drm_minor\n");
        fs::create_symlink("../..", real / "drm/card0/device"); // a loop, not to be followed
    }
    // A function behind it is another device.
    fs::create_directories(real / "0000:01:00.0/nvme/nvme0");
    dir.write("sys/devices/pci0000:00/0000:00:0f.0/0000:01:00.0/nvme/nvme0/uevent",
              "MAJOR=240\nMINOR=0\nDEVNAME=nvme0\n");
}

TEST(GuestDevice, IsReadyWithItsNodesAlone) {
    const TempDir dir;
    add_display(dir, true, true);
    const vfio::HostRoot root(dir.path());
    const auto report = report_if_ready(root, "0000:00:0f.0");
    ASSERT_TRUE(report);
    EXPECT_EQ(report->driver, "bochs-drm");
    EXPECT_THAT(report->nodes, ElementsAre("dri/card0"));
    const auto nodes = nodes_of(root, "0000:00:0f.0");
    ASSERT_EQ(nodes.size(), 1u);
    EXPECT_EQ(nodes[0].major, 226u);
    EXPECT_FALSE(nodes[0].block);
}

TEST(GuestDevice, IsWaitedForUntilItIsThere) {
    const TempDir nothing, no_driver, no_card;
    fs::create_directories(nothing.path() / "sys/bus/pci/devices");
    EXPECT_FALSE(report_if_ready(vfio::HostRoot(nothing.path()), "0000:00:0f.0"));
    EXPECT_FALSE(report_as_is(vfio::HostRoot(nothing.path()), "0000:00:0f.0"));
    add_display(no_driver, false, false);
    EXPECT_FALSE(report_if_ready(vfio::HostRoot(no_driver.path()), "0000:00:0f.0"));
    EXPECT_EQ(report_as_is(vfio::HostRoot(no_driver.path()), "0000:00:0f.0")->driver, "");
    add_display(no_card, true, false);
    EXPECT_FALSE(report_if_ready(vfio::HostRoot(no_card.path()), "0000:00:0f.0"));
}

TEST(GuestDevice, OfVfioHasItsGroupsNodes) {
    const TempDir dir;
    add_display(dir, false, false);
    const auto real = dir.path() / "sys/devices/pci0000:00/0000:00:0f.0";
    for (const auto* path : {"sys/bus/pci/drivers/vfio-pci", "sys/kernel/iommu_groups/3",
                             "sys/class/vfio/noiommu-3", "sys/class/misc/vfio"})
        fs::create_directories(dir.path() / path);
    fs::create_symlink(dir.path() / "sys/bus/pci/drivers/vfio-pci", real / "driver");
    fs::create_symlink(dir.path() / "sys/kernel/iommu_groups/3", real / "iommu_group");
    dir.write("sys/class/vfio/noiommu-3/uevent", "MAJOR=241\nMINOR=0\nDEVNAME=vfio/noiommu-3\n");
    dir.write("sys/class/misc/vfio/uevent", "MAJOR=10\nMINOR=196\nDEVNAME=vfio/vfio\n");
    const vfio::HostRoot root(dir.path());
    EXPECT_TRUE(give_to_vfio(root, "0000:00:0f.0")); // it has it
    const auto report = report_if_ready(root, "0000:00:0f.0");
    ASSERT_TRUE(report);
    EXPECT_THAT(report->nodes, ElementsAre("vfio/noiommu-3", "vfio/vfio"));
}

TEST(GuestDevice, OfVfioNeedsItsKernel) {
    const TempDir dir;
    add_display(dir, true, true);
    const vfio::HostRoot root(dir.path());
    const auto refusal = [&] {
        try {
            give_to_vfio(root, "0000:00:0f.0");
        } catch (const std::exception& error) {
            return std::string(error.what());
        }
        return std::string();
    };
    EXPECT_THAT(refusal(), ::testing::HasSubstr("no vfio-pci"));
    fs::create_directories(dir.path() / "sys/bus/pci/drivers/vfio-pci");
    EXPECT_THAT(refusal(), ::testing::HasSubstr("CONFIG_VFIO_NOIOMMU"));
    // Refused before anything was done to it.
    EXPECT_FALSE(fs::exists(dir.path() / "sys/bus/pci/devices/0000:00:0f.0/driver_override"));
}

TEST(GuestCgroup, LimitsAreItsFiles) {
    EXPECT_THAT(limit_files({}), ElementsAre());
    ResourceLimits limits;
    limits.memory = 5;
    limits.cpu_quota = 50000;
    limits.cpu_weight = 79;
    limits.processes = 9;
    EXPECT_THAT(limit_files(limits),
                ElementsAre(std::pair("memory.max", "5"), std::pair("cpu.max", "50000 100000"),
                            std::pair("cpu.weight", "79"), std::pair("pids.max", "9")));
}

TEST(GuestCgroup, KillsForWantOfMemoryAreCounted) {
    EXPECT_EQ(oom_kills("low 0\nhigh 0\nmax 12\noom 2\noom_kill 3\noom_group_kill 0\n"), 3u);
    EXPECT_EQ(oom_kills("low 0\nhigh 0\nmax 12\noom 2\n"), 0u);
    EXPECT_EQ(oom_kills("oom_kill 4294967299\n"), UINT32_MAX);
    EXPECT_EQ(oom_kills("oom_kill x\n"), 0u);
    EXPECT_EQ(oom_kills(""), 0u);
}

TEST(GuestCgroup, WhatItUsesAndMayUse) {
    const TempDir dir;
    fs::create_directories(dir.path() / "c");
    dir.write("c/cpu.stat", "usage_usec 30\nuser_usec 20\nsystem_usec 10\n");
    dir.write("c/memory.stat", "anon 1\nfile 2\ninactive_file_x 7\ninactive_file 3\npgfault 4\n"
                               "pgmajfault 5\n");
    dir.write("c/memory.current", "4096\n");
    dir.write("c/memory.max", "max\n");
    dir.write("c/pids.current", "6\n");
    dir.write("c/pids.max", "100\n");
    const auto used = Cgroup(dir.path(), "c").usage();
    EXPECT_EQ(used.cpu_usec, 30u);
    EXPECT_EQ(used.user_usec, 20u);
    EXPECT_EQ(used.system_usec, 10u);
    EXPECT_EQ(used.memory, 4096u);
    EXPECT_EQ(used.anonymous, 1u);
    EXPECT_EQ(used.file, 2u);
    EXPECT_EQ(used.inactive_file, 3u);
    EXPECT_EQ(used.faults, 4u);
    EXPECT_EQ(used.major_faults, 5u);
    EXPECT_EQ(used.memory_limit, UINT64_MAX);
    EXPECT_EQ(used.processes, 6u);
    EXPECT_EQ(used.process_limit, 100u);
    // As the host reads it.
    EXPECT_EQ(to_json(parse_usage(to_json(used))), to_json(used));
    // A kernel without the controllers.
    EXPECT_EQ(Cgroup(dir.path(), "none").usage().memory_limit, UINT64_MAX);
}

TEST(GuestCgroup, ALimitThatIsNotTakenIsAnError) {
    const TempDir dir;
    const Cgroup group(dir.path(), "c1");
    group.make();
    ResourceLimits limits;
    limits.processes = 9;
    EXPECT_ANY_THROW(group.limit(limits)); // no controller, no file
    dir.write("c1/pids.max", "max");
    group.limit(limits);
    EXPECT_EQ(dir.read("c1/pids.max"), "9ax"); // a real one has no rest
}

TEST(RootPath, ALinkInAnImageLeadsNowhereElse) {
    const TempDir dir;
    fs::create_directories(dir.path() / "image/etc");
    fs::create_directories(dir.path() / "outside");
    fs::create_symlink("../../outside", dir.path() / "image/etc/up");
    fs::create_symlink(dir.path() / "outside", dir.path() / "image/etc/absolute");
    const RootPath root((dir.path() / "image").native());
    root.make_directory("/a/b/c");
    root.make_file("/a/hosts");
    EXPECT_TRUE(fs::is_directory(dir.path() / "image/a/b/c"));
    EXPECT_TRUE(fs::is_regular_file(dir.path() / "image/a/hosts"));
    root.make_directory("/../../outside/x");
    EXPECT_TRUE(fs::is_directory(dir.path() / "image/outside/x"));
    EXPECT_ANY_THROW(root.make_file("/etc/absolute/passwd"));
    root.make_file("/etc/up/passwd"); // = /outside/passwd inside
    EXPECT_TRUE(fs::is_regular_file(dir.path() / "image/outside/passwd"));
    EXPECT_TRUE(fs::is_empty(dir.path() / "outside"));
}

struct Sent {
    FrameType type;
    std::string payload;
};
std::array<UniqueFd, 2> make_pipe() {
    std::array<int, 2> fds{};
    EXPECT_EQ(::pipe(fds.data()), 0);
    return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

TEST(GuestProcess, StopsReadingAtTheWindow) {
    std::vector<Sent> sent;
    Process process(1, "c", true, [&](FrameType type, std::string_view payload) {
        sent.push_back({type, std::string(payload)});
    });
    auto in = make_pipe(), out = make_pipe(), err = make_pipe();
    process.give_pipes(std::move(in[1]), std::move(out[0]), std::move(err[0]));
    const std::string block(32768, 'x');
    std::size_t read = 0;
    for (int i = 0; i < 20; ++i) {
        ASSERT_EQ(::write(out[1].get(), block.data(), block.size()), 32768);
        if (process.wanted().out < 0)
            break;
        process.read_output(FrameType::stdout_data);
    }
    for (const auto& frame : sent)
        read += frame.payload.size();
    EXPECT_EQ(read, window);
    EXPECT_LT(process.wanted().out, 0);
    process.on_credit(FrameType::stdout_credit, 1000);
    EXPECT_GE(process.wanted().out, 0);
    process.read_output(FrameType::stdout_data);
    EXPECT_EQ(sent.back().payload.size(), 1000u);
    EXPECT_THROW(process.on_credit(FrameType::stdout_credit, window + 1), ProtocolError);
}

TEST(GuestProcess, TakesNoMoreStdinThanItsWindow) {
    std::vector<Sent> sent;
    Process process(1, "c", true, [&](FrameType type, std::string_view payload) {
        sent.push_back({type, std::string(payload)});
    });
    auto in = make_pipe(), out = make_pipe(), err = make_pipe();
    process.give_pipes(std::move(in[1]), std::move(out[0]), std::move(err[0]));
    process.on_stdin(std::string(window, 'x'));
    // The pipe takes 64 KiB; the rest is held, and what was taken is credited.
    ASSERT_FALSE(sent.empty());
    EXPECT_EQ(sent.front().type, FrameType::stdin_credit);
    EXPECT_GE(process.wanted().in, 0);
    EXPECT_THROW(process.on_stdin(std::string(window, 'x')), ProtocolError);
    // Nobody reads any more: it is dropped, not kept.
    in[0].reset();
    process.write_stdin();
    EXPECT_LT(process.wanted().in, 0);
}

} // namespace
} // namespace kata_vfio::agent
