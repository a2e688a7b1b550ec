// SPDX-License-Identifier: Apache-2.0
// Attaches and detaches that fail half-way in QEMU or the kernel.
#include "test/abi/world.hpp"

#include <gmock/gmock.h>

namespace kata_vfio::abi_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Rollback : public World {};

constexpr const char* words =
    "vfio 0000:00:02.0: failed to setup container for group 1: memory listener initialization "
    "failed: Region pc.ram: vfio_dma_map(0x5, 0x0, 0x80000000) = -12 (Cannot allocate memory)";

TEST_F(Rollback, QemuRefusesAVgpu) {
    start_with_sandbox();
    const auto before = snapshot();
    machine->refuse_device_add(words);
    const auto answer = host->attach(sandbox, type8, uuid_a);
    expect_refused(answer, KATA_VFIO_E_QEMU_REFUSED, before);
    EXPECT_EQ(answer.said, words);
    EXPECT_THAT(answer.action, HasSubstr("plug vfio-" + std::string(uuid_a.substr(0, 8))));
    machine->refuse_device_add("");
    EXPECT_TRUE(host->attach(sandbox, type8, uuid_a).ok());
}

TEST_F(Rollback, QemuRefusesAFunction) {
    start_with_sandbox();
    const auto before = snapshot();
    machine->refuse_device_add(words);
    const auto answer = host->attach(sandbox, gpu);
    expect_refused(answer, KATA_VFIO_E_QEMU_REFUSED, before);
    EXPECT_EQ(driver_of(gpu), "i915");
}

TEST_F(Rollback, TheSecondOfAGroupIsRefused) {
    fake::FunctionSpec function;
    function.driver = "vfio-pci";
    function.group = 5;
    for (const char* address : {"0000:01:00.0", "0000:01:00.1"}) {
        function.address = address;
        root.populate_function(function);
    }
    start_with_sandbox();
    const auto before = snapshot();
    host->at_step("plug vfio-0000.01.00.1",
                  [this](std::uint64_t) { machine->refuse_device_add(words); });
    const auto answer = host->attach(sandbox, "/dev/vfio/5");
    expect_refused(answer, KATA_VFIO_E_QEMU_REFUSED, before);
    EXPECT_EQ(plugged(), std::vector<std::string>{}) << "a group is all or nothing";
    EXPECT_EQ(machine->count("device_add"), 3u); // the first of all is start_with_sandbox's
}

TEST_F(Rollback, NoNodeAppears) {
    start_with_sandbox();
    restart(configuration("", "device_node = 60"));
    const auto before = snapshot();
    kernel->without_node(true);
    const auto answer = host->attach(sandbox, type8, uuid_a);
    expect_refused(answer, KATA_VFIO_E_HOST_TIMEOUT, before);
    EXPECT_EQ(machine->count("device_add"), 1u);
}

TEST_F(Rollback, ANodeThatComesLate) {
    start_with_sandbox();
    kernel->delay_node(std::chrono::milliseconds(50));
    const auto answer = host->attach(sandbox, type8, uuid_a);
    EXPECT_TRUE(answer.ok()) << answer;
}

TEST_F(Rollback, AnotherDriverBinds) {
    start_with_sandbox();
    const auto before = snapshot();
    kernel->probe_binds(std::string(gpu), "i915", 1);
    const auto answer = host->attach(sandbox, gpu);
    expect_refused(answer, KATA_VFIO_E_BIND_FAILED, before);
    EXPECT_EQ(driver_of(gpu), "i915");
}

// The guest has not booted: it does not hear of the removal.
TEST_F(Rollback, AGuestThatDoesNotAnswer) {
    start_with_sandbox();
    restart(configuration("", "unplug = 60\nunplug_resend = 20"));
    const auto untouched = snapshot();
    const auto attached = host->attach(sandbox, type8, uuid_a);
    ASSERT_TRUE(attached.ok()) << attached;
    machine->swallow_device_del(true);
    const auto before = snapshot();
    const auto answer = host->detach(sandbox, uuid_a);
    expect_refused(answer, KATA_VFIO_E_UNPLUG_TIMEOUT, before);
    EXPECT_THAT(answer.problem, HasSubstr("within 60 ms"));
    EXPECT_THAT(answer.blocker, HasSubstr("a guest that has not booted yet"));
    EXPECT_THAT(plugged(), ElementsAre(attached.attachments.at(0).id));
    EXPECT_EQ(host->list("sb1").attachments.size(), 1u);
    EXPECT_GT(machine->count("device_del"), 2u); // asked again

    const auto release = host->release("sb1");
    expect_refused(release, KATA_VFIO_E_UNPLUG_TIMEOUT, before);
    EXPECT_THAT(release.action, HasSubstr("release sandbox sb1, of which 1 of 1 devices are left"));

    machine->swallow_device_del(false);
    restart(configuration());
    const auto later = host->detach(sandbox, uuid_a);
    EXPECT_TRUE(later.ok()) << later;
    expect_untouched(untouched);
}

TEST_F(Rollback, AGuestNeverStarted) {
    start_with_sandbox();
    ASSERT_TRUE(host->attach(sandbox, type8, uuid_a).ok());
    machine->set_run_state("prelaunch");
    const auto before = snapshot();
    const auto answer = host->detach(sandbox, uuid_a);
    expect_refused(answer, KATA_VFIO_E_GUEST_NOT_READY, before);
    machine->set_run_state("running");
    EXPECT_TRUE(host->detach(sandbox, uuid_a).ok());
}

TEST_F(Rollback, APausedGuestLetsGoWhenItContinues) {
    start_with_sandbox();
    const auto before = snapshot();
    ASSERT_TRUE(host->attach(sandbox, type8, uuid_a).ok());
    machine->set_run_state("paused");
    const auto earlier = machine->count("device_del");
    const auto ticket = host->start_detach(sandbox, uuid_a);
    machine->wait_count("device_del", earlier + 1);
    EXPECT_EQ(names("/sys/bus/mdev/devices"), uuid_a);
    machine->set_run_state("running");
    const auto answer = host->wait(ticket);
    EXPECT_TRUE(answer.ok()) << answer;
    EXPECT_THAT(host->steps(), ::testing::Contains(HasSubstr("the guest is not running (paused)")));
    expect_untouched(before);
}

// QEMU has let go, but the kernel has not: the vGPU stays known until it is really gone.
TEST_F(Rollback, AVgpuTheKernelDoesNotLetGo) {
    start_with_sandbox();
    const auto before = snapshot();
    ASSERT_TRUE(host->attach(sandbox, type8, uuid_a).ok());
    restart(configuration("", "host_write = 60"));
    kernel->hold_remove(std::string(uuid_a));
    const auto answer = host->detach(sandbox, uuid_a);
    EXPECT_EQ(answer.status, KATA_VFIO_E_REMOVAL_PENDING) << answer;
    EXPECT_EQ(plugged(), std::vector<std::string>{});
    const auto listed = host->list("sb1");
    ASSERT_EQ(listed.attachments.size(), 1u);
    EXPECT_EQ(listed.json.at("sandboxes").at(0).at("attachments").at(0).at("unplugged"), true);
    EXPECT_NE(names("/run/kata-vfio/claims"), "");

    const auto again = host->attach(sandbox, uuid_a);
    EXPECT_EQ(again.status, KATA_VFIO_E_REMOVAL_PENDING) << again;

    host->close(sandbox);
    host.reset(); // and with it, its watch
    kernel->release(std::string(uuid_a));
    const auto dels = machine->count("device_del");
    configure(configuration());
    PluginHost other(config, root.path());
    const auto later = other.release("sb1");
    EXPECT_TRUE(later.ok()) << later;
    ASSERT_EQ(later.json.at("detached").as_array().size(), 1u);
    EXPECT_EQ(machine->count("device_del"), dels); // QEMU is not asked a second time
    const auto without_run = [](Snapshot tree) {
        std::erase_if(tree.entries, [](const auto& e) { return e.first.starts_with("run/"); });
        return tree;
    };
    EXPECT_EQ(difference(without_run(before), without_run(snapshot())), "");
    EXPECT_EQ(names("/run/kata-vfio/claims"), "");
}

// device_add is not answered in time, and neither is what would take the device back: the journal
// stays, and the next call goes on with it.
TEST_F(Rollback, AnUndoThatStopsIsFinishedByTheNextCall) {
    start_with_sandbox();
    const auto before = snapshot();
    restart(configuration("", "unplug = 400\nunplug_resend = 100\ndevice_add = 400\n"
                              "device_del = 400\nquery = 400"));
    machine->block_on("device_add");
    const auto answer = host->attach(sandbox, type8, uuid_a);
    EXPECT_EQ(answer.status, KATA_VFIO_E_QMP_TIMEOUT) << answer;
    EXPECT_THAT(answer.remedy, HasSubstr("undoing stopped at: "));
    EXPECT_THAT(answer.remedy, HasSubstr("the next call on this sandbox goes on with it"));
    EXPECT_TRUE(root.exists("/run/kata-vfio/sandboxes/sb1/journal"));
    EXPECT_EQ(names("/sys/bus/mdev/devices"), uuid_a) << "QEMU may have it: it must stay";

    machine->unblock();
    const auto next = host->attach(sandbox, type8, uuid_b);
    EXPECT_TRUE(next.ok()) << next;
    EXPECT_EQ(names("/sys/bus/mdev/devices"), uuid_b);
    EXPECT_TRUE(host->detach(sandbox, uuid_b).ok());
    expect_untouched(before);
}

} // namespace
} // namespace kata_vfio::abi_test
