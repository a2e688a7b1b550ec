// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/task/usage_metrics.hpp"

#include <gtest/gtest.h>

#include <cstdint>

namespace kata_vfio::shim {
namespace {

// As containerd makes CRI's numbers of them: the working set is the usage without inactive_file,
// what is available the limit without the working set.
TEST(UsageMetrics, EachIsInItsPlace) {
    agent::Usage used;
    used.cpu_usec = 1;
    used.user_usec = 2;
    used.system_usec = 3;
    used.memory = 4;
    used.anonymous = 5;
    used.file = 6;
    used.inactive_file = 7;
    used.processes = 8;
    used.faults = 9;
    used.major_faults = 10;
    used.memory_limit = 11;
    const auto metrics = metrics_of(used);
    EXPECT_EQ(metrics.cpu().usage_usec(), 1u);
    EXPECT_EQ(metrics.cpu().user_usec(), 2u);
    EXPECT_EQ(metrics.cpu().system_usec(), 3u);
    EXPECT_EQ(metrics.memory().usage(), 4u);
    EXPECT_EQ(metrics.memory().anon(), 5u);
    EXPECT_EQ(metrics.memory().file(), 6u);
    EXPECT_EQ(metrics.memory().inactive_file(), 7u);
    EXPECT_EQ(metrics.pids().current(), 8u);
    EXPECT_EQ(metrics.memory().pgfault(), 9u);
    EXPECT_EQ(metrics.memory().pgmajfault(), 10u);
    EXPECT_EQ(metrics.memory().usage_limit(), 11u);
    EXPECT_EQ(metrics.pids().limit(), UINT64_MAX);
}

} // namespace
} // namespace kata_vfio::shim
