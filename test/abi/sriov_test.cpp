// SPDX-License-Identifier: Apache-2.0
// SR-IOV: virtual functions as a second provider, with the life of a vGPU.
#include "test/abi/world.hpp"

#include <boost/json.hpp>
#include <gmock/gmock.h>

namespace kata_vfio::abi_test {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Sriov : public World {
  protected:
    Sriov() { populate_physical(); }
    std::string enabled() const {
        std::string names;
        for (int i = 0; root.exists(path("virtfn" + std::to_string(i))); ++i)
            names += std::to_string(i);
        return names;
    }
    static std::string path(const std::string& name) {
        return "/sys/bus/pci/devices/" + std::string(physical) + "/" + name;
    }
};

TEST_F(Sriov, EnabledForTheFirstAndGoneWithTheLast) {
    start_with_sandbox();
    const auto before = snapshot();
    const auto first = host->attach(sandbox, "sriov");
    ASSERT_TRUE(first.ok()) << first;
    ASSERT_EQ(first.attachments.size(), 1u);
    EXPECT_EQ(first.attachments[0].host_address, "0000:01:02.0");
    EXPECT_EQ(first.attachments[0].guest_address, "0000:00:05.0");
    EXPECT_EQ(first.attachments[0].kind, std::uint32_t{KATA_VFIO_KIND_PCI});
    EXPECT_TRUE(first.attachments[0].owned);
    EXPECT_EQ(enabled(), "012");
    EXPECT_EQ(driver_of("0000:01:02.0"), "vfio-pci");
    EXPECT_EQ(driver_of(physical), "xe");
    EXPECT_EQ(first.json.at("attachments").at(0).at("vf_of").as_string(), physical);

    const auto second = host->attach(sandbox, "sriov@" + std::string(physical));
    ASSERT_TRUE(second.ok()) << second;
    EXPECT_EQ(second.attachments[0].host_address, "0000:01:02.1");
    ASSERT_TRUE(host->detach(sandbox, "0000:01:02.0").ok());
    EXPECT_EQ(enabled(), "012");
    EXPECT_EQ(driver_of("0000:01:02.0"), "");
    ASSERT_TRUE(host->detach(sandbox, "0000:01:02.1").ok());
    EXPECT_EQ(enabled(), "");
    expect_untouched(before);
}

TEST_F(Sriov, AsManyAsTheConfigurationSays) {
    configure(configuration("sriov_functions = 2"));
    start_with_sandbox();
    ASSERT_TRUE(host->attach(sandbox, "sriov").ok());
    EXPECT_EQ(enabled(), "01");
    ASSERT_TRUE(host->attach(sandbox, "sriov").ok());
    const auto before = snapshot();
    const auto third = host->attach(sandbox, "sriov");
    expect_refused(third, KATA_VFIO_E_NO_INSTANCES, before);
    EXPECT_EQ(third.blocker, "0000:01:00.0: of 2 virtual functions 2 are sandboxes' and 0 are the "
                             "host's");
    const auto both = host->detach(sandbox, "sriov");
    EXPECT_EQ(both.status, KATA_VFIO_E_INVALID_ARGUMENT) << both; // which of the two?
}

// What an administrator has enabled stays, and so does what the host's driver has.
TEST_F(Sriov, ThoseThatWereThereStay) {
    start_with_sandbox();
    root.write(path("sriov_numvfs"), "2\n");
    while (enabled() != "01")
        (void)kernel->log();
    root.populate_driver("igbvf");
    root.link("/sys/bus/pci/devices/0000:01:02.0/driver", root.at("/sys/bus/pci/drivers/igbvf"));
    const auto before = snapshot();
    const auto answer = host->attach(sandbox, "sriov");
    ASSERT_TRUE(answer.ok()) << answer;
    EXPECT_EQ(answer.attachments[0].host_address, "0000:01:02.1");
    const auto none = host->attach(sandbox, "sriov");
    EXPECT_EQ(none.status, KATA_VFIO_E_NO_INSTANCES);
    EXPECT_THAT(none.blocker, HasSubstr("1 are sandboxes' and 1 are the host's"));
    ASSERT_TRUE(host->detach(sandbox, "sriov").ok());
    EXPECT_EQ(enabled(), "01");
    expect_untouched(before);
}

TEST_F(Sriov, ARefusedPlugLeavesNothing) {
    start_with_sandbox();
    const auto before = snapshot();
    machine->refuse_device_add("no");
    expect_refused(host->attach(sandbox, "sriov"), KATA_VFIO_E_QEMU_REFUSED, before);
    EXPECT_EQ(enabled(), "");
}

TEST_F(Sriov, ADryRunSaysWhatWouldBeDone) {
    start_with_sandbox();
    const auto before = snapshot();
    const auto plan = host->attach(sandbox, "sriov", {}, KATA_VFIO_ATTACH_DRY_RUN);
    ASSERT_TRUE(plan.ok()) << plan;
    std::vector<std::string> texts;
    for (const auto& step : plan.json.at("steps").as_array())
        texts.emplace_back(step.at("text").as_string());
    EXPECT_THAT(texts, ElementsAre("claim function-0000:01:02.0",
                                   "enable the virtual functions of 0000:01:00.0",
                                   "bind 0000:01:02.0 to vfio-pci (now without a driver)",
                                   "plug vfio-0000.01.02.0 into pci.0"));
    expect_untouched(before);
}

TEST_F(Sriov, WhatIsNotThereOrNotAllowed) {
    start_with_sandbox();
    auto before = snapshot();
    expect_refused(host->attach(sandbox, "sriov@0000:00:02.0"), KATA_VFIO_E_PARENT_NOT_FOUND,
                   before);
    expect_refused(host->attach(sandbox, "sriov@mtty"), KATA_VFIO_E_MALFORMED_ADDRESS, before);
    expect_refused(host->attach(sandbox, "sriov", uuid_a), KATA_VFIO_E_INVALID_ARGUMENT, before);
    restart(configuration("allowed_parents = [\"0000:00:*\"]"));
    before = snapshot();
    expect_refused(host->attach(sandbox, "sriov"), KATA_VFIO_E_NOT_ALLOWED, before);
}

// Enabled by us, and one of them meanwhile somebody's by hand: taking them away would wait for that
// process, and a detach with it.
TEST_F(Sriov, OneThatSomebodyElseHasOpenKeepsThemEnabled) {
    start_with_sandbox();
    const auto before = snapshot();
    ASSERT_TRUE(host->attach(sandbox, "sriov").ok());
    const auto other = root.at("/sys/bus/pci/devices/0000:01:02.1/iommu_group");
    const auto node = "/dev/vfio/" + std::filesystem::read_symlink(other).filename().string();
    root.populate_holder(4711, "dpdk", node);
    const auto detached = host->detach(sandbox, "sriov");
    ASSERT_TRUE(detached.ok()) << detached;
    host->wait_log("the virtual functions of 0000:01:00.0 stay enabled: 0000:01:02.1 is in use: "
                   "IOMMU group");
    host->wait_log("by pid 4711 (dpdk)");
    EXPECT_EQ(enabled(), "012");
    EXPECT_THAT(kernel->log(), ::testing::Not(Contains("functions 0000:01:00.0 0")));
    EXPECT_TRUE(host->reconcile().ok());
    EXPECT_EQ(enabled(), "012");
    root.remove_holder(4711);
    EXPECT_TRUE(host->reconcile().ok());
    EXPECT_EQ(enabled(), "");
    expect_untouched(before);
}

// A sandbox whose record is lost has no claim any more: the next reconcile takes them away.
TEST_F(Sriov, ReconcileTakesAwayWhatNobodyHas) {
    start_with_sandbox();
    ASSERT_TRUE(host->attach(sandbox, "sriov").ok());
    host->close(sandbox);
    std::filesystem::remove_all(root.at("/run/kata-vfio/sandboxes"));
    std::filesystem::remove_all(root.at("/run/kata-vfio/claims"));
    EXPECT_TRUE(host->reconcile(true).ok());
    EXPECT_EQ(enabled(), "012");
    EXPECT_TRUE(host->reconcile().ok());
    EXPECT_EQ(enabled(), "");
    EXPECT_EQ(names("/run/kata-vfio"), "lock");
}

} // namespace
} // namespace kata_vfio::abi_test
