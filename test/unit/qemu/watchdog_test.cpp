// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/watchdog.hpp"

#include <gtest/gtest.h>

using namespace kata_vfio::qemu;
using namespace std::chrono_literals;

namespace {

using Change = Watchdog::Change;

class Watch : public testing::Test {
  protected:
    Watchdog dog_{100ms};
    Watchdog::Clock::time_point start_{1h};
};

} // namespace

TEST_F(Watch, NothingInFlightNeverBarks) {
    EXPECT_FALSE(dog_.wake_at());
    EXPECT_EQ(dog_.time_passed(start_ + 24h), Change::none);
    dog_.wrote(1, start_);
    EXPECT_EQ(dog_.answered(0, start_ + 10ms), Change::none);
    EXPECT_FALSE(dog_.wake_at());
    EXPECT_EQ(dog_.time_passed(start_ + 24h), Change::none);
}

TEST_F(Watch, OverdueOnceAndNotBefore) {
    dog_.wrote(1, start_);
    EXPECT_EQ(dog_.wake_at(), start_ + 100ms);
    EXPECT_EQ(dog_.time_passed(start_ + 99ms), Change::none);
    EXPECT_EQ(dog_.time_passed(start_ + 100ms), Change::unresponsive);
    EXPECT_TRUE(dog_.unresponsive());
    EXPECT_FALSE(dog_.wake_at());
    EXPECT_EQ(dog_.time_passed(start_ + 1h), Change::none);
}

TEST_F(Watch, TheOldestCountsNotTheYoungest) {
    dog_.wrote(1, start_);
    dog_.wrote(2, start_ + 90ms);
    EXPECT_EQ(dog_.time_passed(start_ + 100ms), Change::unresponsive);
}

TEST_F(Watch, EachAnswerGivesTheNextCommandItsTime) {
    dog_.wrote(3, start_);
    EXPECT_EQ(dog_.answered(2, start_ + 90ms), Change::none);
    EXPECT_EQ(dog_.time_passed(start_ + 100ms), Change::none); // a timer set for the first one
    EXPECT_EQ(dog_.wake_at(), start_ + 190ms);
    EXPECT_EQ(dog_.answered(1, start_ + 180ms), Change::none);
    EXPECT_EQ(dog_.time_passed(start_ + 280ms), Change::unresponsive);
}

TEST_F(Watch, AnAnswerEndsItAndItCanComeAgain) {
    dog_.wrote(2, start_);
    EXPECT_EQ(dog_.time_passed(start_ + 1s), Change::unresponsive);
    dog_.wrote(3, start_ + 2s); // a command sent meanwhile changes nothing
    EXPECT_TRUE(dog_.unresponsive());
    EXPECT_EQ(dog_.answered(2, start_ + 3s), Change::answering);
    EXPECT_FALSE(dog_.unresponsive());
    EXPECT_EQ(dog_.wake_at(), start_ + 3s + 100ms);
    EXPECT_EQ(dog_.time_passed(start_ + 4s), Change::unresponsive);
}
