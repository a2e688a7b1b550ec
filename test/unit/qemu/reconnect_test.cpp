// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/reconnect.hpp"

#include <gtest/gtest.h>

using namespace kata_vfio;
using namespace kata_vfio::qemu;
using namespace std::chrono_literals;

namespace {

using Pause = std::optional<std::chrono::milliseconds>;

Pause after(unsigned attempts, std::chrono::milliseconds elapsed, Errc error) {
    ReconnectSituation situation;
    situation.attempts = attempts;
    situation.elapsed = elapsed;
    situation.error = error;
    return retry_after(situation, {});
}

} // namespace

TEST(Reconnect, TheFirstAttemptIsMadeAtOnce) {
    EXPECT_EQ(after(0, 0ms, Errc::qemu_gone), Pause(0ms));
    EXPECT_EQ(after(0, 0ms, Errc::monitor_refused), Pause(0ms)); // asked for by the next call
}

TEST(Reconnect, PausesDoubleUpToTheLongest) {
    EXPECT_EQ(after(1, 1ms, Errc::monitor_busy), Pause(20ms));
    EXPECT_EQ(after(2, 30ms, Errc::monitor_busy), Pause(40ms));
    EXPECT_EQ(after(3, 80ms, Errc::monitor_busy), Pause(80ms));
    EXPECT_EQ(after(6, 700ms, Errc::monitor_busy), Pause(640ms));
    EXPECT_EQ(after(7, 2s, Errc::monitor_busy), Pause(1s));
    EXPECT_EQ(after(4000000000u, 2s, Errc::monitor_busy), Pause(1s));
}

TEST(Reconnect, TheLastAttemptIsAtTheLimitAndNoneBehindIt) {
    EXPECT_EQ(after(12, 9700ms, Errc::monitor_busy), Pause(300ms));
    EXPECT_EQ(after(13, 10s, Errc::monitor_busy), Pause());
    EXPECT_EQ(after(13, 60s, Errc::qmp_timeout), Pause());
}

TEST(Reconnect, OnlyWhatMayPassIsTriedAgain) {
    for (const auto error :
         {Errc::monitor_busy, Errc::qmp_timeout, Errc::qmp_protocol, Errc::qemu_gone})
        EXPECT_TRUE(after(1, 1ms, error)) << name(error);
    for (const auto error : {Errc::monitor_refused, Errc::monitor_missing, Errc::not_qmp,
                             Errc::permission_denied, Errc::cancelled, Errc::internal})
        EXPECT_FALSE(after(1, 1ms, error)) << name(error);
}

TEST(Reconnect, BehindACrashThereIsOneLook) {
    ReconnectSituation situation;
    situation.crashed = true;
    EXPECT_EQ(retry_after(situation, {}), Pause(0ms));
    situation.attempts = 1;
    situation.error = Errc::monitor_busy;
    EXPECT_EQ(retry_after(situation, {}), Pause());
}

TEST(Reconnect, NobodyIsLookedForWhenTheProcessIsGone) {
    ReconnectSituation situation;
    situation.process_gone = true;
    EXPECT_EQ(retry_after(situation, {}), Pause());
}

TEST(Reconnect, BusyIsToldFromRefusedAndGone) {
    for (const auto error : {Errc::monitor_missing, Errc::monitor_refused, Errc::qemu_gone})
        EXPECT_TRUE(says_gone(error)) << name(error);
    for (const auto error : {Errc::monitor_busy, Errc::qmp_timeout, Errc::not_qmp,
                             Errc::permission_denied, Errc::cancelled, Errc::internal})
        EXPECT_FALSE(says_gone(error)) << name(error);
}
