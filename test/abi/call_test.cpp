// SPDX-License-Identifier: Apache-2.0
// How a call ends: one callback, never inside the call, or one wait.
#include "test/abi/world.hpp"

#include <gmock/gmock.h>

#include <condition_variable>
#include <mutex>
#include <thread>

namespace kata_vfio::abi_test {
namespace {

/// What the callbacks of a test saw.
struct Seen {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<Answer> answers;
    std::vector<std::thread::id> threads;
    std::function<void(const kata_vfio_result_t&)> also;

    static void callback(void* self, const kata_vfio_result_t* result) {
        auto& seen = *static_cast<Seen*>(self);
        if (seen.also)
            seen.also(*result);
        const std::lock_guard lock(seen.mutex);
        seen.answers.emplace_back(*result);
        seen.threads.push_back(std::this_thread::get_id());
        seen.changed.notify_all();
    }
    std::vector<Answer> wait(std::size_t count) {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return answers.size() >= count; });
        return answers;
    }
};

class Call : public World {
  protected:
    kata_vfio_call_t with_callback() {
        kata_vfio_call_t call = KATA_VFIO_INIT(call);
        call.callback = Seen::callback;
        call.user_data = &seen;
        return call;
    }
    kata_vfio_status_t attach(std::string_view device, kata_vfio_call_t& call) {
        kata_vfio_attach_t request = KATA_VFIO_INIT(request);
        request.device = view(device);
        return library().attach(sandbox, &request, &call);
    }

    Seen seen;
};

TEST_F(Call, CallsBackOnceOnAnotherThread) {
    start_with_sandbox();
    auto call = with_callback();
    ASSERT_EQ(attach(type8, call), KATA_VFIO_OK);
    EXPECT_NE(call.ticket, 0u);
    auto answers = seen.wait(1);
    ASSERT_TRUE(answers[0].ok()) << answers[0];
    EXPECT_EQ(answers[0].ticket, call.ticket);
    EXPECT_NE(seen.threads[0], std::this_thread::get_id());

    // A ticket with a callback is not for wait().
    kata_vfio_result_t* result = nullptr;
    EXPECT_EQ(library().wait(host->plugin(), call.ticket, -1, &result),
              KATA_VFIO_E_INVALID_ARGUMENT);
    EXPECT_EQ(result, nullptr);

    // Everything that follows has called back before this call of the same sandbox has ended.
    ASSERT_TRUE(host->detach(sandbox, type8).ok());
    EXPECT_EQ(seen.wait(1).size(), 1u);
}

TEST_F(Call, AFailureCallsBackToo) {
    start_with_sandbox();
    auto call = with_callback();
    ASSERT_EQ(attach("nonsense", call), KATA_VFIO_OK);
    EXPECT_EQ(seen.wait(1)[0].status, KATA_VFIO_E_TYPE_NOT_FOUND);
}

TEST_F(Call, ACallbackMayCallBackIn) {
    start_with_sandbox();
    // From the callback of the attach: list it, and detach it.
    Seen second;
    seen.also = [&](const kata_vfio_result_t& result) {
        kata_vfio_call_t call = KATA_VFIO_INIT(call);
        call.callback = Seen::callback;
        call.user_data = &second;
        library().list(host->plugin(), view("sb1"), &call);
        library().detach(sandbox, result.attachments[0]->uuid, &call);
        library().cancel(host->plugin(), 12345);
    };
    auto call = with_callback();
    ASSERT_EQ(attach(type8, call), KATA_VFIO_OK);
    const auto answers = second.wait(2);
    EXPECT_TRUE(answers[0].ok()) << answers[0];
    EXPECT_TRUE(answers[1].ok()) << answers[1];
}

TEST_F(Call, WaitTimesOutAndTheCallGoesOn) {
    start_with_sandbox();
    machine->block_on("device_add");
    const auto ticket = host->start_attach(sandbox, type8);
    machine->wait_blocked();
    kata_vfio_result_t* result = nullptr;
    EXPECT_EQ(library().wait(host->plugin(), ticket, 0, &result), KATA_VFIO_E_HOST_TIMEOUT);
    EXPECT_EQ(result, nullptr);
    EXPECT_EQ(library().wait(host->plugin(), ticket, 5, &result), KATA_VFIO_E_HOST_TIMEOUT);
    machine->unblock();
    const auto answer = host->wait(ticket);
    EXPECT_TRUE(answer.ok()) << answer;
}

TEST_F(Call, WaitTwiceOrForNothing) {
    start_with_sandbox();
    const auto ticket = host->start_list();
    EXPECT_TRUE(host->wait(ticket).ok());
    kata_vfio_result_t* result = nullptr;
    EXPECT_EQ(library().wait(host->plugin(), ticket, -1, &result), KATA_VFIO_E_INVALID_ARGUMENT);
    EXPECT_EQ(library().wait(host->plugin(), 0, -1, &result), KATA_VFIO_E_INVALID_ARGUMENT);
    EXPECT_EQ(library().wait(host->plugin(), ~std::uint64_t{0}, 0, &result),
              KATA_VFIO_E_INVALID_ARGUMENT);
    EXPECT_EQ(library().wait(nullptr, 1, 0, &result), KATA_VFIO_E_INVALID_ARGUMENT);
    EXPECT_EQ(library().wait(host->plugin(), 1, 0, nullptr), KATA_VFIO_E_INVALID_ARGUMENT);
    library().result_free(nullptr);
}

// One of two waiters gets the result, the other is told that there is none.
TEST_F(Call, TwoWaitersForOneTicket) {
    start_with_sandbox();
    machine->block_on("device_add");
    const auto ticket = host->start_attach(sandbox, type8);
    machine->wait_blocked();
    std::array<kata_vfio_status_t, 2> status{};
    std::array<kata_vfio_result_t*, 2> result{};
    std::vector<std::thread> waiters;
    for (std::size_t i = 0; i < 2; ++i)
        waiters.emplace_back(
            [&, i] { status[i] = library().wait(host->plugin(), ticket, -1, &result[i]); });
    machine->unblock();
    for (auto& waiter : waiters)
        waiter.join();
    const std::size_t got = result[0] ? 0 : 1;
    EXPECT_EQ(status[got], KATA_VFIO_OK);
    EXPECT_EQ(status[1 - got], KATA_VFIO_E_INVALID_ARGUMENT);
    EXPECT_EQ(result[1 - got], nullptr);
    library().result_free(result[got]);
}

TEST_F(Call, TheBlockingHelpersOfTheHeader) {
    start();
    const auto& kv = library();
    kata_vfio_sandbox_options_t options = KATA_VFIO_INIT(options);
    options.id = view("sb1");
    options.qmp_socket = view(machine->path());
    kata_vfio_result_t* result = nullptr;
    ASSERT_EQ(kata_vfio_open_and_wait(&kv, host->plugin(), &options, &result), KATA_VFIO_OK);
    auto* opened = result->sandbox;
    kv.result_free(result);
    kata_vfio_attach_t request = KATA_VFIO_INIT(request);
    request.device = view(type8);
    ASSERT_EQ(kata_vfio_attach_and_wait(&kv, host->plugin(), opened, &request, &result),
              KATA_VFIO_OK);
    EXPECT_EQ(copy(result->attachments[0]->guest_address), "0000:00:02.0");
    kv.result_free(result);
    ASSERT_EQ(kata_vfio_list_and_wait(&kv, host->plugin(), {}, &result), KATA_VFIO_OK);
    EXPECT_EQ(result->attachment_count, 1u);
    kv.result_free(result);
    ASSERT_EQ(kata_vfio_detach_and_wait(&kv, host->plugin(), opened, view(type8), &result),
              KATA_VFIO_OK);
    kv.result_free(result);
    kv.sandbox_close(opened);
    ASSERT_EQ(kata_vfio_release_and_wait(&kv, host->plugin(), view("sb1"), &result), KATA_VFIO_OK);
    kv.result_free(result);
    // A refused call leaves no result behind.
    request.flags = 2;
    EXPECT_EQ(kata_vfio_attach_and_wait(&kv, host->plugin(), nullptr, &request, &result),
              KATA_VFIO_E_INVALID_ARGUMENT);
    EXPECT_EQ(result, nullptr);
}

} // namespace
} // namespace kata_vfio::abi_test
