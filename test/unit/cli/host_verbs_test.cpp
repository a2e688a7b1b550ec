// SPDX-License-Identifier: Apache-2.0
// gpus, types, vgpus, create and remove, whole, on a fake host whose kernel is
// played by a thread.
#include "host_verbs.hpp"
#include "vfio/host_write.hpp"
#include "vfio/wait_path.hpp"

#include <gmock/gmock.h>

#include <csignal>

namespace kata_vfio::cli {
namespace {

namespace json = boost::json;
using testing::HasSubstr;
using testing::StartsWith;

TEST_F(HostVerbs, GpusJsonAndTable) {
    const auto listed = ok({"gpus"}).at("functions").as_array();
    ASSERT_EQ(listed.size(), 1u);
    const auto& one = listed[0].as_object();
    EXPECT_EQ(one.at("address"), gpu);
    EXPECT_EQ(one.at("ids"), "8086:1616");
    EXPECT_EQ(one.at("vendor"), "8086");
    EXPECT_EQ(one.at("device"), "1616");
    EXPECT_EQ(one.at("class"), "0300");
    EXPECT_EQ(one.at("driver"), "i915");
    EXPECT_TRUE(one.at("driver_override").is_null());
    EXPECT_EQ(one.at("iommu_group"), 1);
    EXPECT_EQ(one.at("viable"), true);
    EXPECT_EQ(one.at("blockers"), json::array());
    EXPECT_TRUE(one.at("node").is_null());
    EXPECT_EQ(one.at("mdev_types"), 4);
    EXPECT_TRUE(one.at("sandbox").is_null());

    const auto table = run({"gpus"});
    EXPECT_THAT(table.out, StartsWith("BDF           IDS        CLASS  DRIVER  GROUP  NODE"));
    EXPECT_THAT(table.out, HasSubstr("0000:00:02.0  8086:1616  0300   i915    1      -"));
}

TEST_F(HostVerbs, GpusNamesBlockersAndOwner) {
    root.populate_function(
        {.address = "0000:00:02.1", .class_code = 0x040300, .driver = "snd_hda_intel", .group = 1});
    claim("group-1", "s1");
    const auto listed = ok({"gpus"}).at("functions").as_array();
    ASSERT_EQ(listed.size(), 1u) << "the audio function is no display";
    EXPECT_EQ(listed[0].at("viable"), false);
    EXPECT_EQ(listed[0].at("blockers").at(0).at("driver"), "snd_hda_intel");
    EXPECT_EQ(listed[0].at("sandbox"), "s1");
    EXPECT_THAT(run({"gpus", "--all"}).out,
                HasSubstr("0000:00:02.1  8086:1616  0403   snd_hda_intel"));
    EXPECT_THAT(run({"gpus"}).out, HasSubstr("no: 0000:00:02.1 is bound to snd_hda_intel"));
}

TEST_F(HostVerbs, TypesJsonAndTable) {
    root.populate_mtty();
    const auto listed = ok({"types"}).at("types").as_array();
    ASSERT_GT(listed.size(), 4u);
    EXPECT_EQ(listed[3].at("type"), "i915-GVTg_V4_8");
    EXPECT_EQ(listed[3].at("parent"), gpu);
    EXPECT_EQ(listed[3].at("available_instances"), 7);
    EXPECT_EQ(listed[3].at("gvt").at("low_gm_mb"), 64);
    EXPECT_EQ(listed[3].at("gvt").at("resolution"), "1024x768");
    const auto table = run({"types", gpu}).out;
    EXPECT_THAT(table, HasSubstr("i915-GVTg_V4_8  0000:00:02.0  7          -     64 MB low, 384 MB "
                                 "high, 4 fences, 1024x768, weight 2\n"));
    EXPECT_THAT(table, testing::Not(HasSubstr("mtty")));
    const auto wrong = run({"types", "0000:00:03.0"});
    EXPECT_EQ(wrong.status, 4);
    EXPECT_THAT(wrong.err, HasSubstr("'0000:00:03.0' is no device of this host that makes vGPUs "
                                     "(mdev parent)\n  what to do: did you mean 0000:00:02.0?"));
    EXPECT_THAT(run({"types", "i915-GVTg_V4_8"}).err,
                HasSubstr("what to do: 0000:00:02.0 offers it"));
}

TEST_F(HostVerbs, CreateShowAndRemove) {
    fake::FakeKernel kernel(root);
    const auto made = ok({"create", "i915-GVTg_V4_8", "--uuid", uuid});
    EXPECT_EQ(made.at("uuid"), uuid);
    EXPECT_EQ(made.at("type"), "i915-GVTg_V4_8");
    EXPECT_EQ(made.at("parent"), gpu);
    EXPECT_EQ(made.at("state"), "present");
    const auto group = std::to_string(made.at("iommu_group").as_int64());
    EXPECT_EQ(made.at("node"), json::string("/dev/vfio/" + group));

    EXPECT_THAT(run({"vgpus"}).out, HasSubstr(std::string(uuid) + "  i915-GVTg_V4_8  " + gpu));
    const auto again = run({"create", "i915-GVTg_V4_8", "--uuid", uuid});
    EXPECT_EQ(again.status, 4);
    EXPECT_THAT(again.err, HasSubstr(uuid));

    EXPECT_EQ(run({"remove", uuid}).out,
              "removed vGPU " + std::string(uuid) + " from " + gpu + "\n");
    EXPECT_EQ(ok({"vgpus"}).at("vgpus"), json::array());
    const auto gone = run({"remove", uuid});
    EXPECT_EQ(gone.status, 4);
    EXPECT_THAT(gone.err, HasSubstr(uuid));
}

TEST_F(HostVerbs, CreateForPeopleHasUuidGroupAndNode) {
    fake::FakeKernel kernel(root);
    const auto made = run({"create", "i915-GVTg_V4_4@0000:00:02.0"});
    ASSERT_EQ(made.status, 0) << made.err;
    EXPECT_THAT(made.out, testing::ContainsRegex("^uuid    [0-9a-f-]{36}\ntype    i915-GVTg_V4_4\n"
                                                 "parent  0000:00:02.0\ngroup   [0-9]+\n"
                                                 "node    /dev/vfio/[0-9]+\n$"));
}

TEST_F(HostVerbs, CreateByWhatItMustHave) {
    fake::FakeKernel kernel(root);
    const auto made = ok({"create", "vgpu:low_gm=128MB,resolution=1920x1200"});
    EXPECT_EQ(made.at("type").as_string(), "i915-GVTg_V4_4");
    const auto none = run({"create", "vgpu:low_gm=1GB"});
    EXPECT_EQ(none.status, 4);
}

TEST_F(HostVerbs, CreateTakesNothingButAType) {
    for (const auto* device : {gpu, "/dev/vfio/1", uuid}) {
        const auto refused = run({"create", device});
        EXPECT_EQ(refused.status, 2) << device;
        EXPECT_THAT(refused.err, HasSubstr("is no mdev type"));
    }
    EXPECT_EQ(run({"create", "i915-GVTg_V4_8", "--uuid", "BBC4AAFE"}).status, 2);
    const auto unknown = run({"create", "i915-GVTg_V4_9", "--json"});
    EXPECT_EQ(unknown.status, 4);
    EXPECT_EQ(unknown.json().at("error").at("name"), "type_not_found");
    EXPECT_EQ(unknown.json().at("error").at("status"), 409);
}

TEST_F(HostVerbs, CtrlCDuringCreateTakesTheVgpuAwayAgain) {
    fake::FakeKernel kernel(root);
    // Pending, as it is when it comes in the middle; the mask keeps it from ending the test.
    sigset_t held, earlier;
    sigemptyset(&held);
    sigaddset(&held, SIGINT);
    ::pthread_sigmask(SIG_BLOCK, &held, &earlier);
    ::raise(SIGINT);
    const auto made = run({"create", "i915-GVTg_V4_8", "--uuid", uuid});
    ::pthread_sigmask(SIG_SETMASK, &earlier, nullptr);
    EXPECT_EQ(made.status, 130);
    EXPECT_EQ(made.err,
              "kata-vfio: cancelled: vGPU " + std::string(uuid) + " was made and removed again\n");
    EXPECT_EQ(ok({"vgpus"}).at("vgpus"), json::array());
}

TEST_F(HostVerbs, WhatASandboxHasIsNotTouched) {
    root.populate_mdev(gpu, "i915-GVTg_V4_8", uuid, 9);
    claim(plugin::mdev_claim(uuid), "s1");
    claim(plugin::group_claim(1), "s2");
    EXPECT_EQ(ok({"vgpus"}).at("vgpus").at(0).at("sandbox"), "s1");
    const auto removed = run({"remove", uuid});
    EXPECT_EQ(removed.status, 4);
    EXPECT_THAT(removed.err, HasSubstr("blocked by: sandbox s1"));
    EXPECT_THAT(removed.err, HasSubstr("kata-vfio sandbox release s1"));
    for (const auto* verb : {"bind", "restore"}) {
        const auto refused = run({verb, gpu});
        EXPECT_EQ(refused.status, 4) << verb;
        EXPECT_THAT(refused.err, HasSubstr("blocked by: sandbox s2")) << verb;
    }
    EXPECT_EQ(driver(), "i915");
    EXPECT_TRUE(root.exists("/sys/bus/mdev/devices/" + std::string(uuid)));
}

TEST_F(HostVerbs, MalformedAddressesAreUsage) {
    for (const auto* verb : {"bind", "restore"}) {
        const auto refused = run({verb, "00:02.0"});
        EXPECT_EQ(refused.status, 2) << verb;
        EXPECT_THAT(refused.err, HasSubstr("00:02.0"));
    }
    EXPECT_EQ(run({"bind", "0000:00:1f.7"}).status, 4);
    EXPECT_EQ(run({"remove", "not-a-uuid"}).status, 2);
}

TEST_F(HostVerbs, TheStateDirectoryIsTheConfigurations) {
    root.write("/etc/kata-containers/configuration.toml",
               "[vfio]\nstate_dir = \"/run/elsewhere\"\n");
    fake::FakeKernel kernel(root);
    ASSERT_EQ(run({"bind", gpu}).status, 0);
    EXPECT_TRUE(root.exists("/run/elsewhere/bound/0000:00:02.0.json"));
    EXPECT_FALSE(root.exists("/run/kata-vfio"));
    ASSERT_EQ(run({"restore", gpu}).status, 0);
    EXPECT_EQ(run({"--config", root.at("/missing.toml").string(), "vgpus"}).status, 3);
}

TEST_F(HostVerbs, CheckReadsTheHost) {
    root.write("/proc/sys/kernel/osrelease", "6.1.0-test\n");
    root.write("/proc/cmdline", "ro intel_iommu=on\n");
    root.write("/proc/cpuinfo", "vendor_id : GenuineIntel\nmodel name : Intel(R) Core(TM) i7-5500U "
                                "CPU @ 2.40GHz\nflags : vmx\n\n");
    root.write("/proc/modules", "vfio_pci 16384 0 - Live 0x0\nkvm 1 1 kvm_intel, Live 0x0\n");
    root.write("/lib/modules/6.1.0-test/modules.builtin",
               "kernel/drivers/vfio/vfio.ko\nkernel/drivers/vfio/vfio-iommu-type1.ko\n");
    root.write("/boot/config-6.1.0-test", "CONFIG_VFIO=y\nCONFIG_VFIO_IOMMU_TYPE1=y\n"
                                          "CONFIG_VFIO_PCI=m\n");
    root.write("/dev/vfio/vfio", "");
    const auto before = run({"check", "--json"});
    EXPECT_EQ(before.status, 4) << "no /dev/kvm";
    EXPECT_EQ(before.json().at("gvt_d").at("ready"), false);
    root.write("/dev/kvm", "");
    const auto after = run({"check", "--json"});
    EXPECT_EQ(after.status, 0) << run({"check"}).out;
    EXPECT_EQ(after.json().at("kernel"), "6.1.0-test");
    EXPECT_EQ(after.json().at("gvt_g").at("ready"), false) << "module mdev is not loaded";
    EXPECT_EQ(run({"check", "--gvt-g"}).status, 4);
    EXPECT_EQ(run({"check", "--gvt-d"}).status, 0);
    EXPECT_EQ(run({"check", "--gvt-d", "--gvt-g"}).status, 4);
    EXPECT_THAT(run({"check"}).out, HasSubstr("=y in /boot/config-6.1.0-test"));

    root.write("/proc/config.gz", "no gzip");
    EXPECT_THAT(run({"check"}).out, HasSubstr("/proc/config.gz: not gzip data"));
}

TEST(EmptyHost, ListsAreEmptyAndSayWhatToDo) {
    const fake::FakeRoot root;
    const auto types = command({"--root", root.path().string(), "types"});
    EXPECT_EQ(types.status, 0);
    EXPECT_THAT(types.err, HasSubstr("kata-vfio check --gvt-g"));
    EXPECT_EQ(command({"--root", root.path().string(), "--json", "vgpus"}).out, "{\"vgpus\":[]}\n");
    EXPECT_EQ(command({"--root", root.path().string(), "check"}).status, 4);
}

} // namespace
} // namespace kata_vfio::cli
