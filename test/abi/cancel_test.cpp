// SPDX-License-Identifier: Apache-2.0
// A cancelled call ends once, as cancelled with its steps undone, or as it would have anyway.
#include "test/abi/world.hpp"

#include <gmock/gmock.h>

namespace kata_vfio::abi_test {
namespace {

class Cancel : public World {
  protected:
    void expect_cancelled(const Answer& answer, const Snapshot& before) {
        expect_refused(answer, KATA_VFIO_E_CANCELLED, before);
        EXPECT_EQ(plugged(), std::vector<std::string>{});
        // Nothing of it stays with the sandbox.
        const auto next = host->attach(sandbox, type8, uuid_b);
        EXPECT_TRUE(next.ok()) << next;
        EXPECT_TRUE(host->detach(sandbox, uuid_b).ok());
        expect_untouched(before);
    }
};

TEST_F(Cancel, WhileQemuWorksOnDeviceAdd) {
    start_with_sandbox();
    const auto before = snapshot();
    machine->block_on("device_add");
    const auto ticket = host->start_attach(sandbox, type8, uuid_a);
    machine->wait_blocked();
    host->cancel(ticket);
    machine->unblock(); // device_add can't be taken back: it is answered, then unplugged again
    expect_cancelled(host->wait(ticket), before);
}

TEST_F(Cancel, WhileQemuWorksOnDeviceAddOfAFunction) {
    start_with_sandbox();
    const auto before = snapshot();
    machine->block_on("device_add");
    const auto ticket = host->start_attach(sandbox, gpu);
    machine->wait_blocked();
    EXPECT_EQ(driver_of(gpu), "vfio-pci");
    host->cancel(ticket);
    machine->unblock();
    expect_cancelled(host->wait(ticket), before);
    EXPECT_EQ(driver_of(gpu), "i915");
}

TEST_F(Cancel, WhileTheBusIsLookedAt) {
    start_with_sandbox();
    const auto before = snapshot();
    forget_bus();
    machine->block_on("query-pci");
    const auto ticket = host->start_attach(sandbox, type8, uuid_a);
    machine->wait_blocked();
    host->cancel(ticket);
    const auto answer = host->wait(ticket); // at once: QEMU has not answered yet
    machine->unblock();
    expect_cancelled(answer, before);
}

class CancelAt : public Cancel, public ::testing::WithParamInterface<const char*> {};

TEST_P(CancelAt, AVgpusStep) {
    start_with_sandbox();
    const auto before = snapshot();
    host->cancel_at(GetParam());
    const auto answer = host->attach(sandbox, type8, uuid_a);
    host->cancel_at("");
    expect_cancelled(answer, before);
}
INSTANTIATE_TEST_SUITE_P(Cancel, CancelAt, ::testing::Values("create vGPU", "plug "));

class CancelBindAt : public Cancel, public ::testing::WithParamInterface<const char*> {};

TEST_P(CancelBindAt, AFunctionsStep) {
    start_with_sandbox();
    const auto before = snapshot();
    host->cancel_at(GetParam());
    const auto answer = host->attach(sandbox, gpu);
    host->cancel_at("");
    expect_cancelled(answer, before);
    EXPECT_EQ(driver_of(gpu), "i915");
}
INSTANTIATE_TEST_SUITE_P(Cancel, CancelBindAt, ::testing::Values("bind ", "plug "));

// Right behind the call, when the loop has perhaps not begun it: repeated, as it is a race.
TEST_F(Cancel, AtOnce) {
    start_with_sandbox();
    const auto before = snapshot();
    for (int i = 0; i < 50; ++i) {
        forget_bus();
        machine->block_on("query-pci"); // so that it can't be done before it is cancelled
        const auto ticket = host->start_attach(sandbox, type8, uuid_a);
        host->cancel(ticket);
        const auto answer = host->wait(ticket);
        machine->unblock();
        ASSERT_EQ(answer.status, KATA_VFIO_E_CANCELLED) << i << ": " << answer;
        expect_untouched(before);
    }
}

TEST_F(Cancel, AnOpenThatWaitsForTheGreeting) {
    start_with_sandbox();
    PluginHost other(config, root.path());
    const auto before = snapshot();
    const auto ticket = other.start_open("sb2", machine->path()); // held by sb1's connection
    other.cancel(ticket);
    const auto answer = other.wait(ticket);
    expect_refused(answer, KATA_VFIO_E_CANCELLED, before);
}

TEST_F(Cancel, ADetachThatWaitsForTheGuest) {
    start_with_sandbox();
    const auto untouched = snapshot();
    ASSERT_TRUE(host->attach(sandbox, type8, uuid_a).ok());
    machine->swallow_device_del(true);
    const auto before = snapshot();
    const auto earlier = machine->count("device_del");
    const auto ticket = host->start_detach(sandbox, uuid_a);
    machine->wait_count("device_del", earlier + 1);
    host->cancel(ticket);
    const auto answer = host->wait(ticket);
    expect_refused(answer, KATA_VFIO_E_CANCELLED, before);
    EXPECT_EQ(host->list("sb1").attachments.size(), 1u);
    machine->swallow_device_del(false);
    EXPECT_TRUE(host->detach(sandbox, uuid_a).ok());
    expect_untouched(untouched);
}

TEST_F(Cancel, AWaiterBehindAnotherCall) {
    start_with_sandbox();
    const auto before = snapshot();
    machine->block_on("device_add");
    const auto first = host->start_attach(sandbox, type8, uuid_a);
    machine->wait_blocked();
    const auto second = host->start_attach(sandbox, type8, uuid_b);
    const auto third = host->start_detach(sandbox, uuid_a);
    host->cancel(second);
    const auto answer = host->wait(second); // while the first still has its turn
    EXPECT_EQ(answer.status, KATA_VFIO_E_CANCELLED) << answer;
    machine->unblock();
    EXPECT_TRUE(host->wait(first).ok());
    EXPECT_TRUE(host->wait(third).ok()); // in the order they came
    expect_untouched(before);
}

TEST_F(Cancel, AnUnknownOrFinishedTicketIsNoError) {
    start_with_sandbox();
    host->cancel(0);
    host->cancel(~std::uint64_t{0});
    const auto answer = host->list();
    host->cancel(answer.ticket);
    EXPECT_TRUE(host->list().ok());
    library().cancel(nullptr, 1);
}

} // namespace
} // namespace kata_vfio::abi_test
