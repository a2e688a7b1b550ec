// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/claims.hpp"

#include "test/unit/plugin/temp_dir.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace kata_vfio::plugin {
namespace {

class ClaimsTest : public ::testing::Test {
  protected:
    ClaimsTest() {
        for (const char* id : {"sb1", "sb2"})
            state.ensure(state.sandbox(id));
    }
    std::string file(const std::string& name) const { return directory.read("s/claims/" + name); }

    TempDir directory;
    StateDir state{directory.path() / "s"};
    Claims claims{state};
};

TEST_F(ClaimsTest, Names) {
    EXPECT_EQ(function_claim("0000:00:02.0"), "function-0000:00:02.0");
    EXPECT_EQ(mdev_claim("u"), "mdev-u");
    EXPECT_EQ(group_claim(7), "group-7");
}

TEST_F(ClaimsTest, OneOwner) {
    EXPECT_EQ(claims.owner("group-1"), std::nullopt);
    claims.take({"group-1"}, "sb1");
    EXPECT_EQ(claims.owner("group-1"), "sb1");
    claims.take({"group-1"}, "sb1"); // a second function of the group
    const auto failure = failure_of([&] { claims.take({"group-1"}, "sb2"); });
    EXPECT_EQ(failure.code(), Errc::device_in_use);
    EXPECT_EQ(failure.problem(), "group-1 belongs to another sandbox");
    EXPECT_EQ(failure.blocker(), "sandbox sb1");
    EXPECT_EQ(claims.owner("group-1"), "sb1");
    EXPECT_EQ(file("group-1"), "sb1\n");
}

TEST_F(ClaimsTest, OnlyTheOwnerDrops) {
    claims.take({"group-1"}, "sb1");
    claims.drop("group-1", "sb2");
    EXPECT_EQ(claims.owner("group-1"), "sb1");
    claims.drop("group-1", "sb1");
    EXPECT_EQ(claims.owner("group-1"), std::nullopt);
    claims.drop("group-1", "sb1"); // again
    claims.take({"group-1"}, "sb2");
    EXPECT_EQ(claims.owner("group-1"), "sb2");
}

TEST_F(ClaimsTest, OneOfASandboxThatIsGoneIsStale) {
    claims.take({"group-1"}, "sb1");
    state.remove_sandbox("sb1");
    EXPECT_EQ(claims.owner("group-1"), std::nullopt);
    claims.take({"group-1"}, "sb2");
    EXPECT_EQ(claims.owner("group-1"), "sb2");
}

TEST_F(ClaimsTest, AnEmptyFileIsNobodys) {
    state.ensure(state.claims());
    directory.write("s/claims/group-1", "\n");
    EXPECT_EQ(claims.owner("group-1"), std::nullopt);
    claims.take({"group-1"}, "sb1");
    EXPECT_EQ(claims.owner("group-1"), "sb1");
}

TEST_F(ClaimsTest, OfManyAtOnceOneWins) {
    for (int i = 0; i < 8; ++i)
        state.ensure(state.sandbox("p" + std::to_string(i)));
    std::atomic<int> won = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i)
        threads.emplace_back([&, i] {
            try {
                claims.take({"group-1"}, "p" + std::to_string(i));
                ++won;
            } catch (const Failure& failure) {
                EXPECT_EQ(failure.code(), Errc::device_in_use);
            }
        });
    for (auto& thread : threads)
        thread.join();
    EXPECT_EQ(won, 1);
}

} // namespace
} // namespace kata_vfio::plugin
