// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/signals.hpp"

#include <gtest/gtest.h>

namespace kata_vfio::cli {
namespace {

TEST(HeldSignals, WaitToBeAskedForInsteadOfEndingTheProcess) {
    HeldSignals held;
    EXPECT_EQ(held.take(), std::nullopt);
    ::raise(SIGINT);
    EXPECT_EQ(held.take(), SIGINT);
    EXPECT_EQ(held.take(), std::nullopt);
    ::raise(SIGTERM);
    EXPECT_EQ(held.take(), SIGTERM);
}

TEST(HeldSignals, TheMaskIsAsBeforeAndWhatCameLateIsDropped) {
    {
        HeldSignals held;
        ::raise(SIGINT); // never asked for; would end the test if it were still pending
    }
    sigset_t now;
    ASSERT_EQ(::pthread_sigmask(SIG_SETMASK, nullptr, &now), 0);
    EXPECT_EQ(sigismember(&now, SIGINT), 0);
    EXPECT_EQ(sigismember(&now, SIGTERM), 0);
}

} // namespace
} // namespace kata_vfio::cli
