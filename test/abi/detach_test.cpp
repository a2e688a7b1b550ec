// SPDX-License-Identifier: Apache-2.0
// Detach, list and release: by every name, by another instance, with a QEMU that is gone.
#include "test/abi/world.hpp"

#include <gmock/gmock.h>

namespace kata_vfio::abi_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Detach : public World {};

TEST_F(Detach, AVgpuByEachOfItsNames) {
    start_with_sandbox();
    const auto before = snapshot();
    const auto uuid = std::string(uuid_a);
    for (const std::string& name :
         {uuid, "vfio-" + uuid.substr(0, 8), std::string("i915-GVTg_V4_8@0000:00:02.0"),
          std::string(type8), std::string("/dev/vfio/2")}) {
        const auto attached = host->attach(sandbox, "i915-GVTg_V4_8@0000:00:02.0", uuid);
        ASSERT_TRUE(attached.ok()) << attached;
        const auto detached = host->detach(sandbox, name);
        EXPECT_TRUE(detached.ok()) << name << ": " << detached;
        ASSERT_EQ(detached.attachments.size(), 1u) << name;
        EXPECT_EQ(detached.attachments[0].uuid, uuid);
        EXPECT_EQ(detached.json.at("detached").at(0).at("uuid").as_string(), uuid);
        expect_untouched(before);
    }
}

TEST_F(Detach, WhatIsNotAttached) {
    start_with_sandbox();
    const auto before = snapshot();
    auto answer = host->detach(sandbox, gpu);
    expect_refused(answer, KATA_VFIO_E_NOT_ATTACHED, before);
    EXPECT_EQ(answer.problem, "'0000:00:02.0' is not attached to sandbox sb1");
    EXPECT_EQ(answer.remedy, "nothing is attached to it: kata-vfio list shows who has what");
    EXPECT_EQ(answer.action, "detach 0000:00:02.0 from sandbox sb1");

    ASSERT_TRUE(host->attach(sandbox, type8, uuid_a).ok());
    answer = host->detach(sandbox, gpu);
    EXPECT_EQ(answer.remedy, "attached are vfio-" + std::string(uuid_a.substr(0, 8)) +
                                 " ('i915-GVTg_V4_8'): name it by one of its names, which "
                                 "kata-vfio list sb1 shows");
}

TEST_F(Detach, ATypeThatNamesTwo) {
    root.populate_mtty(); // a VM takes one of GVT-g
    start_with_sandbox();
    ASSERT_TRUE(host->attach(sandbox, "mtty-1", uuid_a).ok());
    ASSERT_TRUE(host->attach(sandbox, "mtty-1", uuid_b).ok());
    const auto before = snapshot();
    const auto answer = host->detach(sandbox, "mtty-1");
    expect_refused(answer, KATA_VFIO_E_INVALID_ARGUMENT, before);
    EXPECT_EQ(answer.problem, "'mtty-1' names 2 attachments of sandbox sb1");
    EXPECT_EQ(answer.remedy, "name one of them: vfio-" + std::string(uuid_a.substr(0, 8)) +
                                 " or vfio-" + std::string(uuid_b.substr(0, 8)));
    EXPECT_TRUE(host->detach(sandbox, uuid_a).ok());
    EXPECT_TRUE(host->detach(sandbox, "mtty-1").ok()); // one is left: the name will do again
}

TEST_F(Detach, ListShowsWhatIsAttached) {
    root.populate_mtty();
    start_with_sandbox();
    ASSERT_TRUE(host->attach(sandbox, type8, uuid_a).ok());
    ASSERT_TRUE(host->attach(sandbox, "mtty-1", uuid_b).ok());
    for (const std::string_view id : {"sb1", ""}) {
        const auto answer = host->list(id);
        ASSERT_TRUE(answer.ok()) << answer;
        ASSERT_EQ(answer.sandboxes.size(), 1u);
        EXPECT_EQ(answer.sandboxes[0].id, "sb1");
        EXPECT_EQ(answer.sandboxes[0].qmp_socket, machine->path());
        EXPECT_EQ(answer.sandboxes[0].machine, "pc-i440fx-7.2");
        ASSERT_EQ(answer.attachments.size(), 2u);
        EXPECT_EQ(answer.attachments[0].uuid, uuid_a);
        EXPECT_EQ(answer.attachments[0].guest_address, "0000:00:05.0");
        EXPECT_EQ(answer.attachments[1].uuid, uuid_b);
        EXPECT_EQ(answer.attachments[1].guest_address, "0000:00:06.0");
        EXPECT_EQ(answer.attachments[1].mdev_type, "mtty-1");
        const auto& json = answer.json.at("sandboxes").at(0);
        EXPECT_EQ(json.at("sandbox").as_string(), "sb1");
        EXPECT_EQ(json.at("attachments").as_array().size(), 2u);
    }
    const auto before = snapshot();
    const auto unknown = host->list("sb2");
    expect_refused(unknown, KATA_VFIO_E_SANDBOX_NOT_FOUND, before);
    EXPECT_EQ(unknown.problem, "sandbox sb2 is not known here");
}

TEST_F(Detach, ReleaseGivesEverythingBack) {
    root.populate_mtty();
    start();
    const auto before = snapshot();
    const auto opened = host->open("sb1", machine->path());
    ASSERT_TRUE(opened.ok()) << opened;
    sandbox = opened.sandbox;
    ASSERT_TRUE(host->attach(sandbox, type8, uuid_a).ok());
    ASSERT_TRUE(host->attach(sandbox, "mtty-1", uuid_b).ok());
    const auto answer = host->release("sb1");
    ASSERT_TRUE(answer.ok()) << answer;
    EXPECT_EQ(answer.attachments.size(), 2u);
    EXPECT_EQ(answer.json.at("released").as_bool(), true);
    EXPECT_EQ(names("/run/kata-vfio/sandboxes"), "");
    EXPECT_EQ(names("/run/kata-vfio/claims"), "");
    std::filesystem::remove_all(root.at("/run/kata-vfio"));
    expect_untouched(before);

    // The handle only serves to be closed, and using it all the same makes nothing anew.
    const auto late = host->attach(sandbox, type8);
    EXPECT_EQ(late.status, KATA_VFIO_E_SANDBOX_NOT_FOUND) << late;
    EXPECT_EQ(names("/run/kata-vfio/sandboxes"), "");
    const auto again = host->release("sb1");
    EXPECT_EQ(again.status, KATA_VFIO_E_SANDBOX_NOT_FOUND) << again;
    host->close(sandbox);
    const auto reopened = host->open("sb1", machine->path());
    EXPECT_TRUE(reopened.ok()) << reopened;
}

TEST_F(Detach, ReleaseAfterQemuDied) {
    start_with_sandbox();
    ASSERT_TRUE(host->attach(sandbox, type8, uuid_a).ok());
    machine->kill();
    EXPECT_THAT(host->wait_qemu_gone(), HasSubstr(machine->path()));

    const auto before = snapshot();
    const auto attach = host->attach(sandbox, type8);
    expect_refused(attach, KATA_VFIO_E_QEMU_GONE, before);
    EXPECT_EQ(attach.problem, "the connection to sandbox sb1's QEMU is lost");
    const auto detach = host->detach(sandbox, uuid_a);
    expect_refused(detach, KATA_VFIO_E_QEMU_GONE, before);

    const auto released = host->release("sb1");
    EXPECT_TRUE(released.ok()) << released;
    EXPECT_EQ(names("/sys/bus/mdev/devices"), "");
    EXPECT_EQ(names("/run/kata-vfio/sandboxes"), "");
    EXPECT_EQ(names("/run/kata-vfio/claims"), "");
}

TEST_F(Detach, AnotherInstanceTakesTheSandboxUp) {
    start_with_sandbox();
    const auto before = snapshot();
    ASSERT_TRUE(host->attach(sandbox, type8, uuid_a).ok());
    host->close(sandbox);

    PluginHost other(config, root.path());
    const auto listed = other.list("sb1");
    ASSERT_EQ(listed.attachments.size(), 1u);
    const auto opened = other.open("sb1", ""); // the socket is remembered
    ASSERT_TRUE(opened.ok()) << opened;
    const auto detached = other.detach(opened.sandbox, uuid_a);
    EXPECT_TRUE(detached.ok()) << detached;
    expect_untouched(before);
}

TEST_F(Detach, AnInstanceThatWaitedForTheMonitorSeesWhatWasAttachedMeanwhile) {
    start_with_sandbox();
    PluginHost other(config, root.path());
    // QEMU serves one client: this one is accepted by the kernel, but greeted only when the first
    // has gone.
    const auto ticket = other.start_open("sb1", machine->path());
    ASSERT_TRUE(host->attach(sandbox, type8, uuid_a).ok());
    host->close(sandbox);
    const auto opened = other.wait(ticket);
    ASSERT_TRUE(opened.ok()) << opened;
    const auto listed = other.list("sb1");
    ASSERT_EQ(listed.attachments.size(), 1u) << "the attachment was forgotten";
    EXPECT_TRUE(other.detach(opened.sandbox, uuid_a).ok());
}

TEST_F(Detach, ReleaseByAnInstanceThatNeverOpenedIt) {
    start_with_sandbox();
    ASSERT_TRUE(host->attach(sandbox, type8, uuid_a).ok());
    host->close(sandbox);
    PluginHost other(config, root.path());
    const auto released = other.release("sb1");
    EXPECT_TRUE(released.ok()) << released;
    EXPECT_EQ(names("/sys/bus/mdev/devices"), "");
    EXPECT_EQ(plugged(), std::vector<std::string>{});
    EXPECT_EQ(names("/run/kata-vfio/sandboxes"), "");
}

TEST_F(Detach, AVgpuAttachedByItsTypeAnswersToItsParentToo) {
    start_with_sandbox();
    const auto before = snapshot();
    ASSERT_TRUE(host->attach(sandbox, type8, uuid_a).ok());
    const auto elsewhere = host->detach(sandbox, "i915-GVTg_V4_8@0000:00:03.0");
    EXPECT_EQ(elsewhere.status, KATA_VFIO_E_NOT_ATTACHED) << elsewhere;
    const auto detached = host->detach(sandbox, "i915-GVTg_V4_8@0000:00:02.0");
    EXPECT_TRUE(detached.ok()) << detached;
    expect_untouched(before);
}

TEST_F(Detach, AFunctionByTheNodesAndTheNumberItDidNotComeBy) {
    start_with_sandbox();
    const auto before = snapshot();
    ASSERT_TRUE(host->attach(sandbox, gpu).ok());
    const auto number = root.read("/sys/class/vfio/1/dev");
    const auto detached = host->detach(sandbox, number.substr(0, number.find('\n')));
    EXPECT_TRUE(detached.ok()) << detached;
    expect_untouched(before);
}

TEST_F(Detach, AFunctionWhoseSiblingIsStillAttachedGoesBackLater) {
    // The kernel gives a function back to its driver only when nobody has its group open, and QEMU
    // has it as long as the sibling is attached.
    fake::FunctionSpec function;
    function.group = 5;
    function.address = "0000:01:00.0";
    function.driver = "igb";
    root.populate_function(function);
    function.address = "0000:01:00.1";
    function.driver = "vfio-pci";
    root.populate_function(function);
    start_with_sandbox();
    const auto before = snapshot();
    ASSERT_TRUE(host->attach(sandbox, "0000:01:00.0").ok());
    ASSERT_TRUE(host->attach(sandbox, "0000:01:00.1").ok());
    root.populate_holder(4711, "qemu-system-x86", "/dev/vfio/5");

    const auto early = host->detach(sandbox, "0000:01:00.0");
    EXPECT_EQ(early.status, KATA_VFIO_E_DEVICE_IN_USE) << early;
    EXPECT_THAT(early.blocker, HasSubstr("pid 4711 (qemu-system-x86)"));
    EXPECT_EQ(driver_of("0000:01:00.0"), "vfio-pci");
    EXPECT_THAT(plugged(), ElementsAre("vfio-0000.01.00.1"));
    EXPECT_EQ(host->list("sb1").attachments.size(), 2u);

    ASSERT_TRUE(host->detach(sandbox, "0000:01:00.1").ok());
    root.remove_holder(4711);
    const auto late = host->detach(sandbox, "0000:01:00.0");
    EXPECT_TRUE(late.ok()) << late;
    expect_untouched(before);
}

} // namespace
} // namespace kata_vfio::abi_test
