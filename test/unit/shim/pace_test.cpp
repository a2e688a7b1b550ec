// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/task/pace.hpp"

#include <gtest/gtest.h>

namespace kata_vfio::shim {
namespace {
using std::chrono::milliseconds;

TEST(Pace, AdmitsTheFirstAndOneInItsTime) {
    Pace pace(milliseconds(1000));
    const Pace::Clock::time_point begin{};
    EXPECT_TRUE(pace.admits(begin));
    EXPECT_FALSE(pace.admits(begin + milliseconds(999)));
    EXPECT_TRUE(pace.admits(begin + milliseconds(1000)));
    // Counted from the one that was admitted.
    EXPECT_FALSE(pace.admits(begin + milliseconds(1999)));
    EXPECT_TRUE(pace.admits(begin + milliseconds(2500)));
}

} // namespace
} // namespace kata_vfio::shim
