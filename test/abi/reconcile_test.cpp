// SPDX-License-Identifier: Apache-2.0
// What reconcile makes of sandboxes whose QEMU lives or died, and of what can't be trusted. What is
// held: pending_test.cpp. Where processes die between two steps: crash_matrix_test.cpp.
#include "test/abi/reconcile_world.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

namespace kata_vfio::abi_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(Reconcile, AHostWithNothingOnIt) {
    start();
    const auto before = snapshot();
    const auto answer = host->reconcile();
    ASSERT_TRUE(answer.ok()) << answer;
    EXPECT_EQ(answer.json.at("sandboxes").as_array().size(), 0u);
    const auto device = device_in(answer, foreign);
    EXPECT_EQ(device.at("owner"), "foreign");
    EXPECT_EQ(device.at("state"), "idle");
    EXPECT_TRUE(device.at("sandbox").is_null());
    expect_untouched(before);
}

TEST_F(Reconcile, WhatRunsIsAdopted) {
    start_with_sandbox();
    ASSERT_TRUE(host->attach(sandbox, type8, uuid_a).ok());
    const auto before = snapshot();
    const auto answer = host->reconcile();
    EXPECT_EQ(verdict(answer), "kept") << answer.json;
    EXPECT_THAT(actions(sandbox_in(answer, "sb1")), ElementsAre("keep vfio-83b8f4f2"));
    const auto device = device_in(answer, uuid_a);
    EXPECT_EQ(device.at("owner"), "ours");
    EXPECT_EQ(device.at("sandbox"), "sb1");
    EXPECT_EQ(device.at("type").as_string(), type8);
    expect_untouched(before);
    EXPECT_TRUE(host->detach(sandbox, uuid_a).ok()); // the handle is as good as before
}

TEST_F(Reconcile, OfADeadQemuAllIsGivenBack) {
    fake::FunctionSpec nic;
    nic.address = "0000:00:19.0";
    nic.driver = "e1000e";
    nic.group = 5;
    root.populate_function(nic);
    start_with_sandbox();
    const auto before = snapshot();
    ASSERT_TRUE(host->attach(sandbox, type8, uuid_a).ok());
    ASSERT_TRUE(host->attach(sandbox, nic.address).ok());
    die();
    const auto answer = host->reconcile();
    ASSERT_TRUE(answer.ok()) << answer;
    EXPECT_EQ(verdict(answer), "given_back");
    expect_host_as(before);
    EXPECT_EQ(driver_of(nic.address), "e1000e");
    EXPECT_EQ(names("/run/kata-vfio/sandboxes"), "");
    EXPECT_EQ(names("/run/kata-vfio/claims"), "");
    EXPECT_EQ(host->list().sandboxes.size(), 0u);
}

TEST_F(Reconcile, ADryRunOnlyTells) {
    start_with_sandbox();
    ASSERT_TRUE(host->attach(sandbox, type8, uuid_a).ok());
    die();
    root.write("/run/kata-vfio/claims/group-77",
               "{\"v\":1,\"sandbox\":\"gone\",\"pid\":3,\"start\":1}\n");
    root.write("/run/kata-vfio/claims/group-78", "{\"v\":2}\n");
    const auto before = snapshot();
    const auto answer = host->reconcile(true);
    ASSERT_TRUE(answer.ok()) << answer;
    EXPECT_TRUE(answer.json.at("dry_run").as_bool());
    EXPECT_EQ(verdict(answer), "pending"); // only its monitor could tell
    EXPECT_THAT(std::string(sandbox_in(answer, "sb1").at("why").as_string()),
                HasSubstr("the pid of its QEMU is not known"));
    EXPECT_EQ(answer.json.at("claims").at(0).at("verdict"), "dropped");
    EXPECT_EQ(answer.json.at("quarantined").at(0).at("to"), "");
    expect_untouched(before);
}

TEST_F(Reconcile, OfOneSandboxAlone) {
    start_with_sandbox();
    fake::FakeMachine second;
    const auto other = host->open("sb2", second.path());
    ASSERT_TRUE(other.ok());
    host->close(other.sandbox);
    second.kill();
    die();
    const auto answer = host->reconcile(false, "sb2");
    ASSERT_TRUE(answer.ok()) << answer;
    EXPECT_EQ(names("/run/kata-vfio/sandboxes"), "sb1");
    const auto unknown = host->reconcile(false, "sb9");
    EXPECT_EQ(unknown.status, KATA_VFIO_E_SANDBOX_NOT_FOUND) << unknown;
    EXPECT_EQ(host->reconcile(false, "../sb1").status, KATA_VFIO_E_MALFORMED_SANDBOX_ID);
}

// Its pid is not known, and that its monitor is closed does not make it dead.
TEST_F(Reconcile, AClosedMonitorIsNoProofOfDeath) {
    start_with_sandbox();
    const auto before = snapshot();
    ASSERT_TRUE(host->attach(sandbox, gpu).ok());
    die();
    root.populate_holder(4711, "qemu-system-x86", "/dev/vfio/1");
    const auto held = host->reconcile();
    EXPECT_EQ(verdict(held), "kept") << held.json;
    EXPECT_EQ(driver_of(gpu), "vfio-pci");
    const auto device = device_in(held, gpu);
    EXPECT_EQ(device.at("state"), "in_use");
    EXPECT_EQ(device.at("holder").at("pid"), 4711);
    EXPECT_EQ(device.at("holder").at("command"), "qemu-system-x86");
    const auto release = host->release("sb1");
    EXPECT_EQ(release.status, KATA_VFIO_E_REMOVAL_PENDING) << release;
    EXPECT_EQ(release.blocker, "pid 4711 (qemu-system-x86)");
    root.remove_holder(4711);
    EXPECT_EQ(verdict(host->reconcile()), "given_back");
    expect_host_as(before);
}

TEST_F(Reconcile, FilesThatCantBeTrustedStopNothing) {
    start_with_sandbox();
    const auto before = snapshot();
    ASSERT_TRUE(host->attach(sandbox, type8, uuid_a).ok());
    die();
    const std::string sandboxes = "/run/kata-vfio/sandboxes/";
    const auto good = root.read(sandboxes + "sb1/state.json");
    const auto as = [&](const std::string& id) {
        auto text = good;
        return text.replace(text.find("\"sb1\""), 5, "\"" + id + "\"");
    };
    root.write(sandboxes + "empty/state.json", "");
    root.write(sandboxes + "torn/state.json", good.substr(0, good.size() / 2));
    root.write(sandboxes + "future/state.json", "{\"version\":2}\n");
    root.write(sandboxes + "other/state.json", as("another"));
    root.write(sandboxes + "owned/state.json", as("owned"));
    ASSERT_EQ(::lchown(root.at(sandboxes + "owned/state.json").c_str(), 12345, 12345), 0);
    root.link(sandboxes + "linked/state.json", "/etc/passwd");
    root.write(sandboxes + "stateless/journal",
               "{\"v\":1,\"intent\":{\"step\":\"claim\",\"claim\":\"group-3\"}}\n");
    root.write(sandboxes + "-no-id/state.json", good);
    root.write(sandboxes + "file", "x");
    root.write(sandboxes + "sb1/journal", "{\"v\":7}\n");
    root.write("/run/kata-vfio/claims/group-78", "garbage/\n");
    root.write("/run/kata-vfio/claims/group-79", "{\"v\":1,\"sandb"); // torn
    root.write("/run/kata-vfio/claims/group-80",
               "{\"v\":1,\"sandbox\":\"gone\",\"pid\":3,\"start\":1}\n");
    ASSERT_EQ(::lchown(root.at("/run/kata-vfio/claims/group-80").c_str(), 12345, 12345), 0);
    root.link("/run/kata-vfio/claims/group-81", "/etc/passwd");

    const auto answer = host->reconcile();
    ASSERT_TRUE(answer.ok()) << answer;
    EXPECT_EQ(verdict(answer), "given_back");
    for (const char* id : {"empty", "torn", "future", "other", "owned", "linked", "stateless"})
        EXPECT_EQ(verdict(answer, id), "quarantined") << id;
    EXPECT_EQ(names("/run/kata-vfio/sandboxes"), "");
    EXPECT_EQ(names("/run/kata-vfio/claims"), "");
    EXPECT_EQ(names("/run/kata-vfio/quarantine"),
              "-no-id, -no-id.why, empty, empty.why, file, file.why, future, future.why, group-78, "
              "group-78.why, group-80, group-80.why, group-81, group-81.why, linked, linked.why, "
              "other, other.why, owned, owned.why, sb1.journal, "
              "sb1.journal.why, stateless, stateless.why, torn torn.why");
    EXPECT_EQ(root.read("/run/kata-vfio/quarantine/torn/state.json"),
              good.substr(0, good.size() / 2));
    EXPECT_THAT(root.read("/run/kata-vfio/quarantine/owned.why"),
                HasSubstr("belongs to user 12345"));
    EXPECT_THAT(root.read("/run/kata-vfio/quarantine/future.why"), HasSubstr("version 2"));
    EXPECT_THAT(root.read("/run/kata-vfio/quarantine/group-80.why"),
                HasSubstr("belongs to user 12345"));
    EXPECT_THAT(root.read("/run/kata-vfio/quarantine/group-81.why"),
                HasSubstr("is no regular file"));
    EXPECT_EQ(answer.json.at("quarantined").as_array().size(), 13u);
    expect_host_as(before);
    // A second one of the same name takes another.
    root.write(sandboxes + "empty/state.json", "");
    (void)host->reconcile();
    EXPECT_THAT(names("/run/kata-vfio/quarantine"), HasSubstr("empty.1, empty.1.why"));
}

TEST_F(Reconcile, AClaimOfALivingProcessWithoutARecordStays) {
    start_with_sandbox();
    process(4711, 99);
    root.write("/run/kata-vfio/claims/function-" + std::string(gpu),
               "{\"v\":1,\"sandbox\":\"gone\",\"pid\":4711,\"start\":99}\n");
    const auto answer = host->reconcile();
    EXPECT_EQ(answer.json.at("claims").at(0).at("verdict"), "living");
    const auto refused = host->attach(sandbox, gpu);
    EXPECT_EQ(refused.status, KATA_VFIO_E_DEVICE_IN_USE) << refused;
    EXPECT_EQ(refused.blocker, "sandbox gone");
    process(4711, 100); // the pid has been reused
    EXPECT_EQ(host->reconcile().json.at("claims").at(0).at("verdict"), "dropped");
    EXPECT_TRUE(host->attach(sandbox, gpu).ok());
}

TEST_F(Reconcile, ALostClaimIsTakenAgain) {
    start_with_sandbox();
    ASSERT_TRUE(host->attach(sandbox, gpu).ok());
    const auto before = snapshot();
    std::filesystem::remove_all(root.at("/run/kata-vfio/claims"));
    EXPECT_EQ(verdict(host->reconcile()), "recovered");
    expect_untouched(before);
}

TEST_F(Reconcile, ALostVgpuIsTold) {
    start_with_sandbox();
    ASSERT_TRUE(host->attach(sandbox, type8, uuid_a).ok());
    // rmmod of the parent takes its vGPUs along.
    root.write("/sys/class/mdev_bus/" + std::string(gpu) + "/" + std::string(uuid_a) + "/remove",
               "1\n");
    while (root.exists("/sys/class/mdev_bus/" + std::string(gpu) + "/" + std::string(uuid_a)))
        (void)kernel->log();
    const auto answer = host->reconcile();
    EXPECT_THAT(actions(sandbox_in(answer, "sb1")), ElementsAre("lost vfio-83b8f4f2"));
    EXPECT_EQ(device_in(answer, uuid_a).at("state"), "lost");
    EXPECT_TRUE(host->detach(sandbox, uuid_a).ok());
}

// Its parent's unbind waits for QEMU: that is no loss yet, and who is waited for is told.
TEST_F(Reconcile, AVgpuWhoseParentIsBeingUnboundIsPending) {
    start_with_sandbox();
    ASSERT_TRUE(host->attach(sandbox, type8, uuid_a).ok());
    const auto group = std::filesystem::read_symlink(root.at(
        "/sys/class/mdev_bus/" + std::string(gpu) + "/" + std::string(uuid_a) + "/iommu_group"));
    root.populate_holder(4711, "qemu-system-x86", "/dev/vfio/" + group.filename().string());
    std::filesystem::remove(root.at("/sys/class/mdev_bus/" + std::string(gpu)));
    std::filesystem::remove(root.at("/sys/bus/mdev/devices/" + std::string(uuid_a)));
    const auto answer = host->reconcile();
    ASSERT_TRUE(answer.ok()) << answer;
    const auto ours = sandbox_in(answer, "sb1");
    EXPECT_EQ(ours.at("verdict"), "kept");
    EXPECT_THAT(actions(ours), ElementsAre("keep vfio-83b8f4f2"));
    EXPECT_THAT(std::string(ours.at("actions").at(0).at("why").as_string()),
                HasSubstr("unbinds its parent, and waits for its QEMU"));
    const auto device = device_in(answer, uuid_a);
    EXPECT_EQ(device.at("state"), "pending");
    EXPECT_EQ(device.at("owner"), "ours");
    EXPECT_EQ(device.at("holder").at("pid"), 4711);
    EXPECT_EQ(device.at("why"),
              "its parent, 0000:00:02.0, is being unbound, which waits for its last user");
}
TEST_F(Reconcile, FlagsAndStructs) {
    start();
    kata_vfio_reconcile_t options = KATA_VFIO_INIT(options);
    options.flags = 2;
    kata_vfio_call_t call = KATA_VFIO_INIT(call);
    EXPECT_EQ(library().reconcile(host->plugin(), &options, &call), KATA_VFIO_E_ABI_MISMATCH);
    EXPECT_EQ(library().reconcile(nullptr, nullptr, &call), KATA_VFIO_E_INVALID_ARGUMENT);
    kata_vfio_result_t* result = nullptr;
    EXPECT_EQ(kata_vfio_reconcile_and_wait(&library(), host->plugin(), nullptr, &result),
              KATA_VFIO_OK);
    library().result_free(result);
    kata_vfio_entry_t older = library();
    older.struct_size = offsetof(kata_vfio_entry_t, reconcile);
    EXPECT_TRUE(kata_vfio_compatible(&older));
    EXPECT_EQ(kata_vfio_reconcile_and_wait(&older, host->plugin(), nullptr, &result),
              KATA_VFIO_E_ABI_MISMATCH);
}

} // namespace
} // namespace kata_vfio::abi_test
