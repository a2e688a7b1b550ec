// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/inbox.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <memory>
#include <thread>
#include <vector>

namespace kata_vfio::plugin {
namespace {

using ::testing::ElementsAre;

TEST(Inbox, WorkOfManyThreadsRunsOnTheLoopEachInItsOrder) {
    boost::asio::io_context io;
    Inbox inbox(io);
    constexpr int threads = 4, each = 2000;
    std::vector<std::vector<int>> seen(threads);
    std::vector<std::thread> senders;
    bool elsewhere = false;
    const auto loop = std::this_thread::get_id();
    for (int i = 0; i < threads; ++i)
        senders.emplace_back([&, i] {
            for (int n = 0; n < each; ++n)
                inbox.post([&, i, n] {
                    elsewhere |= std::this_thread::get_id() != loop;
                    seen[static_cast<std::size_t>(i)].push_back(n);
                });
        });
    std::thread last([&] {
        for (auto& sender : senders)
            sender.join();
        inbox.post([&] { inbox.close(); });
    });
    io.run(); // ends: nothing keeps the loop after close()
    last.join();
    EXPECT_FALSE(elsewhere);
    for (const auto& one : seen) {
        ASSERT_EQ(one.size(), static_cast<std::size_t>(each));
        EXPECT_TRUE(std::is_sorted(one.begin(), one.end()));
    }
}

TEST(Inbox, WhatTheWorkItselfBringsRunsAfterIt) {
    boost::asio::io_context io;
    Inbox inbox(io);
    std::vector<int> order;
    inbox.post([&] {
        order.push_back(1);
        inbox.post([&] {
            order.push_back(3);
            inbox.close();
        });
        order.push_back(2);
    });
    io.run();
    EXPECT_THAT(order, ElementsAre(1, 2, 3));
}

TEST(Inbox, CloseRunsWhatIsThereAndNothingAfterIt) {
    boost::asio::io_context io;
    Inbox inbox(io);
    std::vector<int> order;
    inbox.post([&, moved = std::make_unique<int>(1)] { order.push_back(*moved); });
    inbox.close();
    inbox.post([&] { order.push_back(2); });
    io.run();
    EXPECT_THAT(order, ElementsAre(1));
}

} // namespace
} // namespace kata_vfio::plugin
