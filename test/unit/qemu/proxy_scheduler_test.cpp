// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/multiplexer.hpp"
#include "qemu/qmp/proxy/scheduler.hpp"

#include <gtest/gtest.h>

#include <vector>

using namespace kata_vfio::qemu;

TEST(ProxyScheduler, LeavesHalfOfQemusQueueToOurOwnTraffic) {
    EXPECT_LE(2 * ProxyScheduler::default_in_flight, Multiplexer::max_in_flight);
    ProxyScheduler scheduler;
    for (ProxyClientId client = 1; client <= 16; ++client)
        scheduler.want(client);
    std::vector<ProxyTicket> tickets;
    while (const auto start = scheduler.next())
        tickets.push_back(start->ticket);
    EXPECT_EQ(tickets.size(), ProxyScheduler::default_in_flight);
    EXPECT_EQ(scheduler.done(tickets[2]), ProxyClientId{3});
    EXPECT_EQ(scheduler.next()->client, 5u);
    EXPECT_FALSE(scheduler.next());
}

TEST(ProxyScheduler, TakesTurns) {
    ProxyScheduler scheduler(1);
    std::vector<ProxyClientId> order;
    for (ProxyClientId client : {7, 3, 5})
        scheduler.want(client);
    for (int i = 0; i < 7; ++i) {
        const auto start = scheduler.next();
        ASSERT_TRUE(start);
        order.push_back(start->client);
        EXPECT_EQ(scheduler.done(start->ticket), start->client);
        scheduler.want(start->client); // each has another one at once
    }
    EXPECT_EQ(order, (std::vector<ProxyClientId>{7, 3, 5, 7, 3, 5, 7}));
}

TEST(ProxyScheduler, TheAnswerOfAClientThatLeftIsNobodysAndItsPlaceIsKept) {
    ProxyScheduler scheduler(1);
    scheduler.want(1);
    const auto start = scheduler.next();
    scheduler.leave(1);
    scheduler.want(2);
    EXPECT_FALSE(scheduler.next()) << "QEMU is still working on it";
    EXPECT_EQ(scheduler.done(start->ticket), std::nullopt);
    EXPECT_EQ(scheduler.next()->client, 2u);
}

TEST(ProxyScheduler, WhoLeavesWaitsNoMore) {
    ProxyScheduler scheduler;
    scheduler.want(1);
    scheduler.want(2);
    scheduler.leave(1);
    EXPECT_EQ(scheduler.next()->client, 2u);
    EXPECT_FALSE(scheduler.next());
    EXPECT_EQ(scheduler.done(99), std::nullopt);
}
