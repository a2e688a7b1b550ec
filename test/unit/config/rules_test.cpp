// SPDX-License-Identifier: Apache-2.0
// The edges of the rules; their texts stand in fixtures/config/bad.
#include "config/allow_list.hpp"
#include "config/document.hpp"
#include "config/kata_keys.hpp"
#include "config/keys.hpp"
#include "config/uid_range.hpp"
#include "config/validate.hpp"
#include "support.hpp"

#include <gmock/gmock.h>

using namespace kata_vfio;
using namespace kata_vfio::config;
using std::chrono::milliseconds;

TEST(Rules, PcMachines) {
    for (const auto* machine :
         {"pc", "pc-i440fx-7.2", "pc-i440fx-10.0", "pc-i440fx-jammy-hpb", "pc-i440fx-rhel7.6.0"})
        EXPECT_TRUE(is_pc_machine(machine)) << machine;
    for (const auto* machine :
         {"", "PC", " pc", "pc ", "q35", "pc-q35-7.2", "pc-i440fx-", "pc-i440fx", "pc-lite",
          "isapc", "microvm", "virt", "pc-i440fx-7.2,x=y", "pc-i440fx-7.2 ", "pc-i440fx-7.2\n"})
        EXPECT_FALSE(is_pc_machine(machine)) << machine;
}

TEST(Rules, AFreshConfigurationLacksTheRootBusOnly) {
    const auto findings = validate(Configuration());
    ASSERT_EQ(findings.size(), 1u);
    EXPECT_EQ(findings[0].code, Errc::root_bus_off);
}

TEST(Rules, ForeignBytesInMachineTypeCannotForgeALine) {
    Configuration c;
    c.hypervisor.machine_type = "q35\nok";
    const auto found = machine_type_is_pc(c);
    ASSERT_TRUE(found);
    EXPECT_THAT(found->text, testing::StartsWith("'q35\\x0aok' can't be used"));
}

TEST(Rules, AcceleratorsMayNotBringAMachine) {
    Configuration c;
    for (const auto* text : {"", "nosmm,nosmbus", "accel=kvm", "mytype=q35", "typex=1"}) {
        c.hypervisor.machine_accelerators = text;
        EXPECT_FALSE(accelerators_keep_the_machine(c)) << text;
    }
    for (const auto* text : {"type=q35", "nosmm, type=q35", "type", "a,type=pc"}) {
        c.hypervisor.machine_accelerators = text;
        EXPECT_TRUE(accelerators_keep_the_machine(c)) << text;
    }
}

TEST(Rules, KernelParametersFitTheKernelsLine) {
    Configuration c;
    c.hypervisor.kernel_params = std::string(2047, 'x');
    EXPECT_FALSE(kernel_params_fit(c));
    c.hypervisor.kernel_params += 'x';
    EXPECT_TRUE(kernel_params_fit(c));
    c.hypervisor.kernel_params = "a\x7f";
    EXPECT_TRUE(kernel_params_fit(c));
    c.hypervisor.kernel_params = "dyndbg=\"file x +p\" caf\xC3\xA9";
    EXPECT_FALSE(kernel_params_fit(c));
}

TEST(Rules, StateDirLeavesRoomForSockets) {
    Configuration c;
    c.vfio.state_dir = "/" + std::string(63, 'x');
    EXPECT_FALSE(state_dir_is_usable(c));
    c.vfio.state_dir += "x";
    EXPECT_TRUE(state_dir_is_usable(c));
    for (const auto* path : {"", "x", "/", "/a/./b", "/a/.."}) {
        c.vfio.state_dir = path;
        EXPECT_TRUE(state_dir_is_usable(c)) << path;
    }
}

TEST(Rules, ResendIsBelowUnplug) {
    Configuration c;
    c.vfio.timeouts.unplug = milliseconds(2001);
    EXPECT_FALSE(resend_is_within_unplug(c));
    c.vfio.timeouts.unplug = milliseconds(2000);
    EXPECT_TRUE(resend_is_within_unplug(c));
}

TEST(Rules, RedactionsNameMembers) {
    Configuration c;
    c.vfio.qmp_log_redact = {"password", "arguments.secret"};
    EXPECT_FALSE(redactions_name_members(c));
    for (const auto* entry : {"", " ", "a..b", ".a", "a."}) {
        c.vfio.qmp_log_redact = {"password", entry};
        const auto found = redactions_name_members(c);
        ASSERT_TRUE(found) << entry;
        EXPECT_EQ(found->text, "'" + std::string(entry) + "' names no member of a message");
    }
}

TEST(Rules, RootlessUidsAreARange) {
    Configuration c;
    EXPECT_FALSE(rootless_uids_are_a_range(c)) << "the default";
    EXPECT_EQ(parse_uid_range("7-7"), (UidRange{7, 7}));
    EXPECT_EQ(parse_uid_range("1-4294967294")->size(), 4294967294u);
    for (const auto* text : {"", "7", "-7", "7-", "0-7", "8-7", "7-8 ", "7-4294967295", "7-x"}) {
        c.vfio.rootless_uids = text;
        EXPECT_TRUE(rootless_uids_are_a_range(c)) << text;
    }
}

TEST(Rules, AQueueOfVirtioFsHasAPowerOfTwoPlaces) {
    Configuration c;
    EXPECT_FALSE(queue_size_is_a_power(c)) << "the default";
    c.hypervisor.virtio_fs_queue_size = 96;
    EXPECT_TRUE(queue_size_is_a_power(c));
}

TEST(Rules, ExtraWordsForVirtiofsdDontChangeTheShare) {
    Configuration c;
    using Words = std::vector<std::string>;
    for (const Words& words : {Words{}, Words{"--thread-pool-size=1", "--announce-submounts"},
                               Words{"-o", "no_posix_lock,xattr"}}) {
        c.hypervisor.virtio_fs_extra_args = words;
        EXPECT_FALSE(share_stays_the_share(c));
    }
    for (const Words& words :
         {Words{"--shared-dir=/"}, Words{"--shared-dir", "/"}, Words{"-o", "xattr,source=/"},
          Words{"-osource=/"}, Words{"-o=source=/"}, Words{"-fosource=/"},
          Words{"-o", "\\source=/"}, Words{"-o", "xattr,so\\urce=/"}, Words{"--fd=3"},
          Words{"--socket-path=/s"}}) {
        c.hypervisor.virtio_fs_extra_args = words;
        EXPECT_TRUE(share_stays_the_share(c)) << words.front();
    }
}

TEST(Rules, TheExtraMonitorNeedsDebug) {
    Configuration c;
    c.hypervisor.extra_monitor_socket = "hmp";
    EXPECT_TRUE(extra_monitor_is_for_debugging(c));
    c.hypervisor.enable_debug = true;
    EXPECT_FALSE(extra_monitor_is_for_debugging(c));
}

TEST(AllowList, GlobsWithoutPathRules) {
    const std::vector<std::string> all{"*"}, some{"i915-GVTg_V4_?", "mbochs-[sl]*"}, none;
    EXPECT_TRUE(allowed(all, "a/b"));
    EXPECT_TRUE(allowed(all, ".hidden"));
    EXPECT_TRUE(allowed(some, "i915-GVTg_V4_8"));
    EXPECT_FALSE(allowed(some, "i915-GVTg_V4_16"));
    EXPECT_TRUE(allowed(some, "mbochs-small"));
    EXPECT_FALSE(allowed(some, "mbochs-medium"));
    EXPECT_FALSE(allowed(some, ""));
    EXPECT_FALSE(allowed(none, "x"));
    EXPECT_FALSE(allowed(all, std::string("a\0b", 3)));
}

TEST(AllowList, PathsStayInTheirDirectory) {
    const std::vector<std::string> patterns{"/srv/*", "/opt/*/bin/qemu"};
    EXPECT_TRUE(allowed_path(patterns, "/srv/a"));
    EXPECT_TRUE(allowed_path(patterns, "/opt/kata/bin/qemu"));
    for (const auto* path : {"/srv/a/b", "/srv/.a", "/srv/..", "/srv/../srv/a", "srv/a", "/srv/",
                             "//srv/a", "/srv/./a", "/opt/a/b/bin/qemu", ""})
        EXPECT_FALSE(allowed_path(patterns, path)) << path;
    EXPECT_FALSE(allowed_path(patterns, std::string("/srv/a\0/../../etc", 17)));
}

TEST(KataKeys, NoKeyIsBothOursAndKatas) {
    for (const auto& key : keys()) {
        EXPECT_FALSE(is_kata_key(key.table, key.name)) << key.dotted();
        EXPECT_EQ(find_obsolete(key.table, key.name), nullptr) << key.dotted();
    }
}
