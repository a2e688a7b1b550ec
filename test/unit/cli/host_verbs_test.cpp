// SPDX-License-Identifier: Apache-2.0
// gpus, types, vgpus, create, remove, bind and restore, whole, on a fake host whose kernel is
// played by a thread.
#include "command_world.hpp"
#include "runtime-plugin/cli/function_turn.hpp"
#include "runtime-plugin/plugin/claims.hpp"
#include "vfio/host_write.hpp"
#include "vfio/wait_path.hpp"

#include <gmock/gmock.h>

#include <sys/stat.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <string>
#include <thread>

namespace kata_vfio::cli {
namespace {

namespace json = boost::json;
using testing::HasSubstr;
using testing::StartsWith;

constexpr auto gpu = "0000:00:02.0";
constexpr auto uuid = "bbc4aafe-5807-11e8-a43e-03533cceae7d";
constexpr auto gpu_dir = "/sys/bus/pci/devices/0000:00:02.0/";

struct HostVerbs : HostWorld {
    /// Makes sandbox `id` the owner of a claim, as an attach in another process would.
    void claim(const std::string& name, const std::string& id) const {
        const plugin::StateDir state(root.at("/run/kata-vfio"));
        state.ensure(state.sandbox(id));
        plugin::Claims(state, root.host()).take({name}, plugin::Claim{id, 0, 0});
    }
    std::string driver() const {
        const auto link = root.at(std::string(gpu_dir) + "driver");
        std::error_code ec;
        return std::filesystem::read_symlink(link, ec).filename().string();
    }
};

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

/// Whether somebody waits for a lock of this process's on the directory. The kernel tells nobody of
/// it: it is asked until `over`.
bool is_waited_for(const std::filesystem::path& directory, const std::function<bool()>& over) {
    struct stat info {};
    if (::stat(directory.c_str(), &info) != 0)
        return false;
    const auto inode = ":" + std::to_string(info.st_ino) + " ";
    while (!over()) {
        std::ifstream locks("/proc/locks");
        for (std::string line; std::getline(locks, line);)
            if (line.find("-> FLOCK") != line.npos && line.find(inode) != line.npos)
                return true;
        std::this_thread::yield();
    }
    return false;
}

TEST_F(HostVerbs, BindAndRestoreOfOneFunctionByTwoProcessesTakeTurns) {
    for (const auto* verb : {"bind", "restore"}) {
        // As another process's bind, in its middle: by its end the function is a sandbox's.
        auto other = take_turn(root.host(), vfio::PciAddress::require(gpu));
        auto second = std::async(std::launch::async, [&] { return run({verb, gpu}); });
        EXPECT_TRUE(is_waited_for(root.at(gpu_dir), [&] {
            return second.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
        })) << verb;
        claim(plugin::group_claim(1), "s2");
        other.release();
        const auto refused = second.get();
        EXPECT_EQ(refused.status, 4) << verb;
        EXPECT_THAT(refused.err, HasSubstr("blocked by: sandbox s2"));
        EXPECT_EQ(driver(), "i915");
        plugin::Claims(plugin::StateDir(root.at("/run/kata-vfio")), root.host())
            .drop(plugin::group_claim(1), "s2");
    }
}

TEST_F(HostVerbs, BindOfAnAbsentOneSuggestsDisplaysOnly) {
    root.populate_function(
        {.address = "0000:00:00.0", .class_code = 0x060000, .driver = "", .group = 7});
    const auto bridge = run({"bind", "0000:00:00.1"});
    EXPECT_EQ(bridge.status, 4);
    EXPECT_THAT(bridge.err, testing::Not(HasSubstr("did you mean 0000:00:00.0")));
    EXPECT_THAT(bridge.err, HasSubstr("kata-vfio gpus --all"));
    EXPECT_THAT(run({"bind", "0000:00:03.0"}).err, HasSubstr("did you mean 0000:00:02.0?"));
}

TEST_F(HostVerbs, BindAndRestore) {
    fake::FakeKernel kernel(root);
    const auto bound = ok({"bind", gpu});
    EXPECT_EQ(bound.at("address"), gpu);
    EXPECT_EQ(bound.at("driver"), "vfio-pci");
    EXPECT_EQ(bound.at("earlier_driver"), "i915");
    EXPECT_TRUE(bound.at("earlier_override").is_null());
    EXPECT_EQ(bound.at("changed"), true);
    EXPECT_EQ(bound.at("iommu_group"), 1);
    EXPECT_EQ(bound.at("node"), "/dev/vfio/1");
    EXPECT_EQ(bound.at("viable"), true);
    EXPECT_EQ(driver(), "vfio-pci");
    const auto record = root.read("/run/kata-vfio/bound/0000:00:02.0.json");
    EXPECT_EQ(json::parse(record).at("record").at("earlier_driver"), "i915");

    const auto again = run({"bind", gpu});
    EXPECT_THAT(again.out, HasSubstr("driver   vfio-pci (it was already)\n"));
    EXPECT_EQ(root.read("/run/kata-vfio/bound/0000:00:02.0.json"), record) << "kept";

    const auto restored = ok({"restore", gpu});
    EXPECT_EQ(restored.at("outcome"), "restored");
    EXPECT_EQ(restored.at("driver"), "i915");
    EXPECT_TRUE(restored.at("driver_override").is_null());
    EXPECT_EQ(driver(), "i915");
    EXPECT_FALSE(root.exists("/run/kata-vfio/bound/0000:00:02.0.json"));
    EXPECT_EQ(ok({"restore", gpu}).at("outcome"), "unchanged");
}

TEST_F(HostVerbs, BindTellsWhatStillBlocksTheGroup) {
    root.populate_function({.address = "0000:00:02.1", .driver = "snd_hda_intel", .group = 1});
    fake::FakeKernel kernel(root);
    const auto bound = run({"bind", gpu});
    ASSERT_EQ(bound.status, 0) << bound.err;
    EXPECT_THAT(bound.out, HasSubstr("the group can't go to a guest yet: 0000:00:02.1 is bound to "
                                     "snd_hda_intel\n"));
}

TEST_F(HostVerbs, AnInterruptedBindKeepsTheTrueRecord) {
    fake::FakeKernel kernel(root);
    ASSERT_EQ(run({"bind", gpu}).status, 0);
    const auto record = root.read("/run/kata-vfio/bound/0000:00:02.0.json");
    // As if that bind had been killed between unbind and probe.
    const auto unbind = root.at("/sys/bus/pci/drivers/vfio-pci/unbind");
    ASSERT_EQ(vfio::host_write_direct(unbind, std::string(gpu) + "\n").outcome,
              vfio::HostWriteOutcome::done);
    // The fake's write returns before its effect.
    ASSERT_TRUE(vfio::wait_gone(root.at(std::string(gpu_dir) + "driver"), std::chrono::seconds(5),
                                root.host().watches()));
    ASSERT_EQ(driver(), "");
    const auto bound = ok({"bind", gpu});
    EXPECT_EQ(bound.at("earlier_driver"), "i915");
    EXPECT_EQ(root.read("/run/kata-vfio/bound/0000:00:02.0.json"), record);
    EXPECT_EQ(ok({"restore", gpu}).at("driver"), "i915");
}

TEST_F(HostVerbs, AFailedBindLeavesNoRecord) {
    root.write("/etc/kata-containers/configuration.toml", "[vfio.timeouts]\nhost_write = 1500\n");
    fake::FakeKernel kernel(root);
    kernel.probe_binds(gpu, std::nullopt, 1);
    const auto failed = run({"bind", gpu});
    EXPECT_EQ(failed.status, 4);
    EXPECT_THAT(failed.err, HasSubstr("vfio-pci did not bind"));
    EXPECT_EQ(driver(), "i915");
    EXPECT_FALSE(root.exists("/run/kata-vfio/bound/0000:00:02.0.json"));
}

TEST_F(HostVerbs, CtrlCDuringBindGivesTheFunctionBack) {
    fake::FakeKernel kernel(root);
    sigset_t held, earlier;
    sigemptyset(&held);
    sigaddset(&held, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &held, &earlier);
    ::raise(SIGTERM);
    const auto bound = run({"bind", gpu});
    ::pthread_sigmask(SIG_SETMASK, &earlier, nullptr);
    EXPECT_EQ(bound.status, 130);
    EXPECT_THAT(bound.err, HasSubstr("was given back to i915"));
    EXPECT_EQ(driver(), "i915");
    EXPECT_FALSE(root.exists("/run/kata-vfio/bound/0000:00:02.0.json"));
}

TEST_F(HostVerbs, RestoreWithoutARecordLetsTheKernelChoose) {
    {
        fake::FakeKernel kernel(root);
        ASSERT_EQ(run({"bind", gpu}).status, 0);
        std::filesystem::remove(root.at("/run/kata-vfio/bound/0000:00:02.0.json"));
        const auto restored = ok({"restore", gpu});
        EXPECT_EQ(restored.at("outcome"), "reprobed");
        EXPECT_EQ(restored.at("driver"), "i915");
        EXPECT_THAT(std::string(restored.at("note").as_string()),
                    HasSubstr("the kernel chose i915"));
    }
    const auto untouched = ok({"restore", gpu});
    EXPECT_EQ(untouched.at("outcome"), "unchanged");
    EXPECT_THAT(std::string(untouched.at("note").as_string()),
                HasSubstr("no record says that kata-vfio bound it: nothing was changed; kata-vfio "
                          "gpus --all shows what is on VFIO"));
}

TEST_F(HostVerbs, RestoreSaysWhenVfioPciTakesItAgain) {
    fake::FakeKernel kernel(root);
    ASSERT_EQ(run({"bind", gpu}).status, 0);
    std::filesystem::remove(root.at("/run/kata-vfio/bound/0000:00:02.0.json"));
    kernel.probe_binds(gpu, "vfio-pci"); // as a new_id does
    const auto refused = run({"restore", gpu});
    EXPECT_EQ(refused.status, 4);
    EXPECT_THAT(refused.err, HasSubstr("vfio-pci took 0000:00:02.0 again"));
    EXPECT_THAT(refused.err, HasSubstr("echo 8086 1616 > /sys/bus/pci/drivers/vfio-pci/remove_id"));
}

TEST_F(HostVerbs, ADamagedRecordIsNamed) {
    root.write("/run/kata-vfio/bound/0000:00:02.0.json", "{");
    const auto refused = run({"restore", gpu, "--json"});
    EXPECT_EQ(refused.status, 4);
    EXPECT_EQ(refused.json().at("error").at("name"), "state_corrupt");
    EXPECT_THAT(refused.err, HasSubstr("bound/0000:00:02.0.json is not the record of a bind"));
    root.write("/run/kata-vfio/bound/0000:00:02.0.json", R"({"version": 9, "record": {}})");
    EXPECT_THAT(run({"restore", gpu}).err, HasSubstr("version 9"));
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
