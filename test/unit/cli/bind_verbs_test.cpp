// SPDX-License-Identifier: Apache-2.0
// bind and restore, whole, on a fake host whose kernel is played by a thread.
#include "host_verbs.hpp"
#include "runtime-plugin/cli/function_turn.hpp"
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

} // namespace
} // namespace kata_vfio::cli
