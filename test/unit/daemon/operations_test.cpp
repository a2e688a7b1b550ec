// SPDX-License-Identifier: Apache-2.0
#include "kata_vfio/v1/devices.pb.h"
#include "runtime-plugin/daemon/operations.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>

namespace kata_vfio::daemon {
namespace {

namespace asio = boost::asio;

struct OperationsTest : testing::Test {
    OperationsTest() : operations(loop, [this] { return now; }) {}

    static std::shared_ptr<v1::AttachRequest> request(const std::string& device) {
        auto one = std::make_shared<v1::AttachRequest>();
        one->set_device(device);
        return one;
    }
    /// A body that waits until it is cancelled, or ended by end_all().
    Operations::Body waiting() {
        return [this](std::shared_ptr<Operation>) -> asio::awaitable<void> {
            ++started;
            asio::steady_timer timer(loop, asio::steady_timer::time_point::max());
            timers.push_back(&timer);
            try {
                co_await timer.async_wait(asio::use_awaitable);
            } catch (const boost::system::system_error&) {
                if (!ending)
                    throw;
            }
        };
    }
    Operations::Ticket join(const std::string& id, const std::string& device,
                            Operations::Body body) {
        auto done = [this](const Operation& operation) { ends.push_back(operation.reason); };
        return operations.join("Devices/Attach", id, request(device),
                               std::make_shared<v1::AttachResponse>(), std::move(body), done);
    }
    void run() {
        loop.restart();
        loop.poll();
    }
    void end_all() {
        ending = true;
        for (auto* timer : std::exchange(timers, {}))
            timer->cancel();
        run();
        ending = false;
    }

    asio::io_context loop;
    std::chrono::steady_clock::time_point now{};
    Operations operations;
    std::vector<asio::steady_timer*> timers;
    std::vector<std::string> ends;
    int started = 0;
    bool ending = false;
};

using Strings = std::vector<std::string>;

TEST_F(OperationsTest, ARepeatJoinsOrGetsTheAnswerAgain) {
    join("r1", "a", waiting());
    join("r1", "a", waiting());
    run();
    EXPECT_EQ(started, 1);
    end_all();
    EXPECT_EQ(ends, (Strings{"ok", "ok"}));
    join("r1", "a", waiting());
    EXPECT_EQ(ends.size(), 3u) << "at once";
    run();
    EXPECT_EQ(started, 1);
}

TEST_F(OperationsTest, WithoutAnIdEachIsItsOwn) {
    join("", "a", waiting());
    join("", "a", waiting());
    run();
    EXPECT_EQ(started, 2);
    end_all();
}

TEST_F(OperationsTest, AnotherContentUnderTheSameIdIsRefused) {
    join("r1", "a", waiting());
    EXPECT_THROW(join("r1", "b", waiting()), Refused);
    run();
    end_all();
    EXPECT_THROW(join("r1", "b", waiting()), Refused);
}

TEST_F(OperationsTest, GivenUpWhenTheLastClientHasGone) {
    const auto one = join("r1", "a", waiting());
    const auto two = join("r1", "a", waiting());
    run();
    operations.leave(one);
    run();
    EXPECT_EQ(operations.running(), 1u);
    operations.leave(two);
    run();
    EXPECT_EQ(operations.running(), 0u);
    EXPECT_TRUE(one.operation->given_up->load());
    EXPECT_EQ(one.operation->reason, "cancelled");
    EXPECT_EQ(ends, Strings{}) << "nobody is there to be told";
    // Its answer is kept, for a client that asks again.
    join("r1", "a", waiting());
    EXPECT_EQ(ends, Strings{"cancelled"});
}

TEST_F(OperationsTest, CancelledByIdThoseWhoWaitAreTold) {
    join("r1", "a", waiting());
    run();
    EXPECT_FALSE(operations.cancel("r2"));
    EXPECT_TRUE(operations.cancel("r1"));
    run();
    EXPECT_EQ(ends, Strings{"cancelled"});
    EXPECT_FALSE(operations.cancel("r1"));
}

TEST_F(OperationsTest, AnAnswerIsForgottenAfterItsTime) {
    join("r1", "a", waiting());
    run();
    end_all();
    now += Operations::remembered_for;
    join("r1", "b", waiting()); // a new one
    run();
    EXPECT_EQ(started, 2);
    end_all();
}

TEST_F(OperationsTest, ThereIsALimitAndAnEnd) {
    for (std::size_t i = 0; i < Operations::most_running; ++i)
        join("", "a", waiting());
    EXPECT_THROW(join("", "a", waiting()), Refused);
    run();
    operations.refuse_new();
    bool idle = false;
    operations.when_idle([&] { idle = true; });
    EXPECT_FALSE(idle);
    operations.cancel_all();
    run();
    EXPECT_TRUE(idle);
    try {
        join("", "a", waiting());
        FAIL();
    } catch (const Refused& refused) {
        EXPECT_EQ(refused.refusal, rpc::ServiceRefusal::draining);
    }
}

TEST_F(OperationsTest, AMalformedIdIsRefused) {
    EXPECT_THROW(join("a b", "a", waiting()), Failure);
    EXPECT_THROW(join(std::string(129, 'x'), "a", waiting()), Failure);
}

TEST_F(OperationsTest, ABodyThatThrowsIsARefusalWithItsDetails) {
    Operations::Body body = [](std::shared_ptr<Operation> operation) -> asio::awaitable<void> {
        operation->subject = {"s1", "x"};
        throw Failure(Errc::device_in_use, "taken");
        co_return;
    };
    const auto ticket = join("r1", "a", std::move(body));
    run();
    EXPECT_EQ(ends, Strings{"device_in_use"});
    EXPECT_EQ(ticket.operation->status.error_code(), grpc::FAILED_PRECONDITION);
    EXPECT_EQ(ticket.operation->failure->problem(), "taken");
}

TEST_F(OperationsTest, LargeAnswersAreNotRememberedWithoutEnd) {
    int runs = 0;
    const auto ask = [&](const std::string& id) {
        auto answer = std::make_shared<v1::AttachResponse>();
        Operations::Body body = [&runs,
                                 answer](std::shared_ptr<Operation>) -> asio::awaitable<void> {
            ++runs;
            answer->set_sandbox(std::string(1u << 20, 'x'));
            co_return;
        };
        operations.join("Devices/Attach", id, request("a"), answer, std::move(body),
                        [](const Operation&) {});
        run();
    };
    for (int i = 0; i < 100; ++i)
        ask("id" + std::to_string(i));
    EXPECT_EQ(runs, 100);
    ask("id99");
    EXPECT_EQ(runs, 100) << "the last one is remembered";
    ask("id10");
    EXPECT_EQ(runs, 101) << "an old one had to go";
}

TEST_F(OperationsTest, WhatARequestNamesIsKeptShort) {
    std::string device, details;
    Operations::Body body = [](std::shared_ptr<Operation> operation) -> asio::awaitable<void> {
        operation->subject.device = std::string(4u << 20, '\xc3');
        throw Failure(Errc::device_not_found, "no");
        co_return;
    };
    operations.join("Devices/Attach", "a", request("a"), std::make_shared<v1::AttachResponse>(),
                    std::move(body), [&](const Operation& operation) {
                        device = operation.subject.device;
                        details = operation.status.error_details();
                    });
    run();
    EXPECT_NE(device, "");
    EXPECT_LT(device.size(), 1024u);
    EXPECT_NE(details, "");
    EXPECT_LT(details.size(), 4096u);
}

} // namespace
} // namespace kata_vfio::daemon
