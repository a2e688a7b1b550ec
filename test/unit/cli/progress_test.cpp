// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/progress.hpp"

#include <gtest/gtest.h>

#include <sstream>

namespace kata_vfio::cli {
namespace {

using namespace std::chrono_literals;

struct ProgressTest : testing::Test {
    std::ostringstream err;
    Progress::Clock::time_point start{100s};
};

TEST_F(ProgressTest, AQuickCallSaysNothing) {
    Progress progress(err, Progress::Show::when_slow, start);
    EXPECT_EQ(progress.wake(), std::nullopt);
    progress.step("claim", start + 10ms);
    EXPECT_EQ(progress.wake(), start + 1s);
    progress.tick(start + 999ms);
    EXPECT_EQ(err.str(), "");
    EXPECT_EQ(progress.steps(), std::vector<std::string>{"claim"});
}

TEST_F(ProgressTest, ASlowOneShowsItsStepsAndEachNewOne) {
    Progress progress(err, Progress::Show::when_slow, start);
    progress.step("bind", start + 200ms);
    progress.tick(start + 1s);
    EXPECT_EQ(err.str(), "  0.2 s  bind\n");
    EXPECT_EQ(progress.wake(), std::nullopt);
    progress.step("plug", start + 2500ms);
    EXPECT_EQ(err.str(), "  0.2 s  bind\n  2.5 s  plug\n");
}

TEST_F(ProgressTest, VerboseShowsAtOnceJsonNeverUnlessCancelled) {
    Progress verbose(err, Progress::Show::at_once, start);
    verbose.step("bind", start);
    EXPECT_EQ(err.str(), "  0.0 s  bind\n");

    err.str("");
    Progress silent(err, Progress::Show::never, start);
    silent.step("bind", start + 5s);
    silent.tick(start + 9s);
    EXPECT_EQ(silent.wake(), std::nullopt);
    EXPECT_EQ(err.str(), "");
    silent.show_all();
    EXPECT_EQ(err.str(), "  5.0 s  bind\n");
}

} // namespace
} // namespace kata_vfio::cli
