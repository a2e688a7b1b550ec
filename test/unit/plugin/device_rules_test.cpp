// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/device_rules.hpp"

#include "test/fixtures/fake_root/fake_root.hpp"
#include "test/unit/plugin/device_programs.hpp"

#include <gmock/gmock.h>

#include <map>
#include <system_error>

namespace kata_vfio::plugin {
namespace {

using namespace bpf;
using ::testing::HasSubstr;

TEST(DeviceRules, AreReadAndMatched) {
    const auto rules = parse_device_rules("c 1:3 rwm\nc 10:196 rw\nc 241:* rwm\nb 8:0 rwm\n"
                                          "c 136:7 r\nnonsense\nc x:1 rw\n\n");
    EXPECT_EQ(rules.size(), 5u);
    EXPECT_TRUE(permits(rules, 10, 196));
    EXPECT_TRUE(permits(rules, 241, 7));
    EXPECT_FALSE(permits(rules, 8, 0));
    EXPECT_FALSE(permits(rules, 136, 7)); // reading is not enough
    EXPECT_FALSE(permits(rules, 10, 197));
    EXPECT_TRUE(permits(parse_device_rules("a *:* rwm\n"), 241, 7));
    EXPECT_FALSE(permits({}, 241, 7));
}

/// /dev/vfio/7 is 241:7; the process is 4711.
class Reach : public ::testing::Test {
  protected:
    Reach() { root.populate_vfio_node(7); }
    NodeReach ask() { return reach_of_node(root.host(), 4711, "/dev/vfio/7", kernel); }
    /// The process is in that cgroup of version 2, and of no other.
    void unified(const std::string& cgroup) const {
        root.write("/proc/4711/cgroup", "0::" + cgroup + "\n");
        root.write("/sys/fs/cgroup/cgroup.controllers", "memory pids\n");
    }
    void attach(const std::string& cgroup, std::uint32_t id, std::vector<Instruction> program,
                std::string name = "sd_devices") {
        attached[root.at("/sys/fs/cgroup" + cgroup).lexically_normal()].push_back(id);
        loaded[id] = {std::move(name), std::move(program)};
    }

    fake::FakeRoot root;
    std::map<std::filesystem::path, std::vector<std::uint32_t>> attached;
    std::map<std::uint32_t, LoadedProgram> loaded;
    std::string denied_call; ///< "ids", "load": answered with EPERM
    int asked = 0;
    DevicePrograms kernel{
        [this](const std::filesystem::path& cgroup, bool in_effect) {
            ++asked;
            if (denied_call == "ids")
                throw std::system_error(EPERM, std::generic_category(), "BPF_PROG_QUERY");
            std::vector<std::uint32_t> ids;
            for (const auto& [path, of_it] : attached)
                if (path == cgroup ||
                    (in_effect && cgroup.native().starts_with(path.native() + "/")))
                    ids.insert(ids.end(), of_it.begin(), of_it.end());
            return ids;
        },
        [this](std::uint32_t id) {
            if (denied_call == "load")
                throw std::system_error(EPERM, std::generic_category(), "BPF_PROG_GET_FD_BY_ID");
            return loaded.at(id);
        }};
};

TEST_F(Reach, ByTheRulesOfVersionOne) {
    root.write("/proc/4711/cgroup", "4:memory:/kata/s1\n2:devices:/kata/s1\n0::/\n");
    const auto rules = "/sys/fs/cgroup/devices/kata/s1/devices.list";
    EXPECT_FALSE(ask().refused); // no list: can't be told
    EXPECT_FALSE(ask().unrestricted);
    root.write(rules, "c 10:196 rwm\nc 241:7 rwm\n");
    EXPECT_FALSE(ask().refused);
    root.write(rules, "c 10:196 rwm\nc 241:8 rwm\n");
    auto failure = ask().refused;
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->code(), Errc::permission_denied);
    EXPECT_EQ(failure->problem(), "QEMU's cgroup does not let it open /dev/vfio/7");
    EXPECT_EQ(failure->blocker(), "the device rules of pid 4711, none of which has c 241:7 rw");
    EXPECT_THAT(failure->advice(), HasSubstr("\"c 241:7 rwm\""));
    root.write(rules, "c 241:7 rwm\n");
    failure = ask().refused;
    ASSERT_TRUE(failure);
    EXPECT_THAT(failure->problem(), HasSubstr("/dev/vfio/vfio"));
    EXPECT_FALSE(reach_of_node(root.host(), 0, "/dev/vfio/7").refused);
    EXPECT_EQ(asked, 0);
}

TEST_F(Reach, ByTheProgramsOfVersionTwo) {
    unified("/kata.slice/qemu-s1.scope");
    EXPECT_FALSE(ask().refused); // nobody has attached one
    EXPECT_EQ(ask().unknown, "");
    EXPECT_TRUE(ask().unrestricted);
    attach("/kata.slice/qemu-s1.scope", 17, systemd_program({{'c', 10, 196, 6}, {'c', 241, 8, 6}}));
    auto reach = ask();
    ASSERT_TRUE(reach.refused);
    EXPECT_EQ(reach.refused->code(), Errc::permission_denied);
    EXPECT_EQ(reach.refused->problem(), "QEMU's cgroup does not let it open /dev/vfio/7");
    EXPECT_EQ(reach.refused->blocker(), "device program 17 (sd_devices) of cgroup "
                                        "/kata.slice/qemu-s1.scope, which denies c 241:7 rw to pid "
                                        "4711");
    EXPECT_EQ(reach.refused->advice(),
              "add DeviceAllow=/dev/vfio/7 rw to the systemd unit qemu-s1.scope, or the rule \"c "
              "241:7 rwm\" to the runtime's device rules of that cgroup (linux.resources.devices)");
    loaded[17].instructions = systemd_program({{'c', 10, 196, 6}, {'c', 241, std::nullopt, 6}});
    reach = ask();
    EXPECT_FALSE(reach.refused);
    EXPECT_EQ(reach.unknown, "");
    loaded[17].instructions = systemd_program({{'c', 241, std::nullopt, 6}});
    EXPECT_EQ(ask().refused.value().problem(), "QEMU's cgroup does not let it open /dev/vfio/vfio");
}

TEST_F(Reach, ByAProgramOfACgroupAbove) {
    unified("/kata/s1");
    attach("/kata/s1", 17, runc_program({{'c', std::nullopt, std::nullopt, 7, true}}, false), "");
    attach("/kata", 9, runc_program({{'c', 241, std::nullopt, 7, false}}, true), "");
    const auto reach = ask();
    ASSERT_TRUE(reach.refused);
    EXPECT_EQ(reach.refused->blocker(),
              "device program 9 of cgroup /kata, which denies c 241:7 rw to pid 4711");
    EXPECT_THAT(reach.refused->advice(), HasSubstr("\"c 241:7 rwm\" to the runtime's"));
    attached.erase(root.at("/sys/fs/cgroup/kata"));
    EXPECT_FALSE(ask().refused);
}

TEST_F(Reach, WhereBothVersionsAreInUse) {
    unified("/kata/s1");
    std::filesystem::remove(root.at("/sys/fs/cgroup/cgroup.controllers"));
    root.write("/sys/fs/cgroup/unified/cgroup.controllers", "\n");
    root.write("/proc/4711/cgroup", "2:devices:/kata/s1\n0::/kata/s1\n");
    root.write("/sys/fs/cgroup/devices/kata/s1/devices.list", "a *:* rwm\n");
    EXPECT_FALSE(ask().refused);
    attached[root.at("/sys/fs/cgroup/unified/kata/s1")] = {3};
    loaded[3] = {"", runc_program({}, false)};
    EXPECT_TRUE(ask().refused);
}

TEST_F(Reach, WhatCantBeToldRefusesNothingAndIsSaid) {
    const std::vector<Instruction> calls{{BPF_JMP | BPF_CALL, 0, 0, 0, 14}, leave()};
    unified("/kata/s1");
    denied_call = "ids";
    auto reach = ask();
    EXPECT_FALSE(reach.refused);
    EXPECT_EQ(reach.unknown, "the device programs of cgroup /kata/s1 can't be asked for: "
                             "BPF_PROG_QUERY: Operation not permitted");
    EXPECT_TRUE(reach.forbidden);
    denied_call = "load";
    attach("/kata/s1", 17, calls);
    reach = ask();
    EXPECT_FALSE(reach.refused);
    EXPECT_THAT(reach.unknown, HasSubstr("device program 17 of cgroup /kata/s1 can't be read: "
                                         "BPF_PROG_GET_FD_BY_ID: Operation not permitted"));
    denied_call = "";
    reach = ask();
    EXPECT_FALSE(reach.refused);
    EXPECT_THAT(reach.unknown, HasSubstr("it does more than compare"));
    EXPECT_FALSE(reach.forbidden);
    // All of them must allow it: one that is understood, and denies, decides.
    attach("/kata/s1", 18, runc_program({}, false));
    EXPECT_TRUE(ask().refused);
    unified("/../other");
    EXPECT_EQ(ask().unknown, "its cgroup /../other is outside this process's own");
    unified("/kata/s1");
    std::filesystem::remove(root.at("/sys/fs/cgroup/cgroup.controllers"));
    EXPECT_EQ(ask().unknown, "no cgroup2 file system is at /sys/fs/cgroup");
    root.write("/proc/4711/cgroup", "0::/\n"); // a host of version 1 alone
    EXPECT_EQ(ask().unknown, "");
}

// Of this very host: whoever may ask gets an answer, and whoever may not an errno.
TEST(KernelPrograms, AnswerOrThrow) {
    try {
        for (const auto id : kernel_programs().ids("/sys/fs/cgroup/unified", true))
            EXPECT_FALSE(kernel_programs().load(id).instructions.empty());
    } catch (const std::system_error& error) {
        EXPECT_NE(error.code().value(), 0);
    }
    EXPECT_THROW(kernel_programs().ids("/nowhere", true), std::system_error);
    EXPECT_THROW(kernel_programs().load(0xffffffff), std::system_error);
}

} // namespace
} // namespace kata_vfio::plugin
