// SPDX-License-Identifier: Apache-2.0
// Closing with work in flight, and what is not closed.
#include "test/abi/world.hpp"

#include <atomic>

namespace kata_vfio::abi_test {
namespace {

class Close : public World {
  protected:
    struct Counted {
        std::atomic<int> calls = 0;
        std::atomic<kata_vfio_status_t> status = -1;
        static void callback(void* self, const kata_vfio_result_t* result) {
            auto& counted = *static_cast<Counted*>(self);
            counted.status = result->status;
            ++counted.calls;
        }
    };

    /// An attach that QEMU has not answered yet.
    void attach_blocked(Counted& counted) {
        forget_bus();
        machine->block_on("query-pci");
        kata_vfio_attach_t request = KATA_VFIO_INIT(request);
        request.device = view(type8);
        kata_vfio_call_t call = KATA_VFIO_INIT(call);
        call.callback = Counted::callback;
        call.user_data = &counted;
        ASSERT_EQ(library().attach(sandbox, &request, &call), KATA_VFIO_OK);
        machine->wait_blocked();
    }
};

TEST_F(Close, TheSandboxWithWorkInFlight) {
    start_with_sandbox();
    Counted counted;
    attach_blocked(counted);
    const auto before = snapshot();
    host->close(sandbox);
    EXPECT_EQ(counted.calls, 1) << "the callback has been, when close returns";
    EXPECT_EQ(counted.status, KATA_VFIO_E_CANCELLED);
    expect_untouched(before);
    machine->unblock();
    const auto opened = host->open("sb1", machine->path());
    EXPECT_TRUE(opened.ok()) << opened;
}

TEST_F(Close, ThePluginWithWorkInFlight) {
    start_with_sandbox();
    Counted counted;
    attach_blocked(counted);
    const auto before = snapshot();
    host->close_plugin(); // the sandbox's handle ends with it
    EXPECT_EQ(counted.calls, 1);
    EXPECT_EQ(counted.status, KATA_VFIO_E_CANCELLED);
    expect_untouched(before);
}

TEST_F(Close, ThePluginWithACallNobodyCollects) {
    start_with_sandbox();
    forget_bus();
    machine->block_on("query-pci");
    host->start_attach(sandbox, type8);
    machine->wait_blocked();
    const auto before = snapshot();
    host->close_plugin();
    expect_untouched(before);
}

TEST_F(Close, ThePluginWithAnOpenedSandboxNobodyCollected) {
    start();
    const auto ticket = host->start_open("sb1", machine->path());
    // Finished by now: a list comes behind it only when it had to wait for QEMU, so ask for it.
    kata_vfio_result_t* result = nullptr;
    while (library().wait(host->plugin(), host->start_list("sb1"), -1, &result) != KATA_VFIO_OK)
        library().result_free(result);
    library().result_free(result);
    EXPECT_NE(ticket, 0u);
    host->close_plugin();
}

TEST_F(Close, AttachmentsStay) {
    start_with_sandbox();
    ASSERT_TRUE(host->attach(sandbox, type8, uuid_a).ok());
    const auto before = snapshot();
    host->close_plugin();
    expect_untouched(before);
    EXPECT_EQ(plugged().size(), 1u);
    PluginHost other(config, root.path());
    const auto released = other.release("sb1");
    EXPECT_TRUE(released.ok()) << released;
}

TEST_F(Close, NothingIsAllowed) {
    library().sandbox_close(nullptr);
    library().plugin_close(nullptr);
}

TEST_F(Close, ASandboxReleasedWhileOpen) {
    start_with_sandbox();
    ASSERT_TRUE(host->attach(sandbox, type8, uuid_a).ok());
    ASSERT_TRUE(host->release("sb1").ok());
    host->close(sandbox);
    EXPECT_EQ(names("/run/kata-vfio/sandboxes"), "");
}

} // namespace
} // namespace kata_vfio::abi_test
