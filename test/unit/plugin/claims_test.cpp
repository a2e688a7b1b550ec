// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/claims.hpp"

#include "test/fixtures/fake_root/fake_root.hpp"
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
    std::string file(const std::string& name) const {
        return root.read("/run/kata-vfio/claims/" + name);
    }
    void write(const std::string& name, const std::string& text) const {
        root.write("/run/kata-vfio/claims/" + name, text);
    }
    /// A process of that pid that was started at `start`.
    void run(int pid, int start) const {
        root.write("/proc/" + std::to_string(pid) + "/stat",
                   std::to_string(pid) + " (qemu) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 " +
                       std::to_string(start) + " 0 0\n");
    }

    fake::FakeRoot root;
    StateDir state{root.at("/run/kata-vfio")};
    Claims claims{state, root.host()};
    const Claim sb1{"sb1", 0, 0}, sb2{"sb2", 0, 0};
};

TEST_F(ClaimsTest, Names) {
    EXPECT_EQ(function_claim("0000:00:02.0"), "function-0000:00:02.0");
    EXPECT_EQ(mdev_claim("u"), "mdev-u");
    EXPECT_EQ(group_claim(7), "group-7");
}

TEST_F(ClaimsTest, OneOwner) {
    EXPECT_EQ(claims.owner("group-1"), std::nullopt);
    claims.take({"group-1"}, sb1);
    EXPECT_EQ(claims.owner("group-1"), "sb1");
    claims.take({"group-1"}, sb1); // a second function of the group
    const auto failure = failure_of([&] { claims.take({"group-1"}, sb2); });
    EXPECT_EQ(failure.code(), Errc::device_in_use);
    EXPECT_EQ(failure.problem(), "group-1 belongs to another sandbox");
    EXPECT_EQ(failure.blocker(), "sandbox sb1");
    EXPECT_EQ(claims.owner("group-1"), "sb1");
    EXPECT_EQ(file("group-1"), "{\"v\":1,\"sandbox\":\"sb1\",\"pid\":0,\"start\":0}\n");
}

TEST_F(ClaimsTest, OfAllNamesOrNone) {
    claims.take({"group-2"}, sb2);
    EXPECT_EQ(failure_of([&] {
                  claims.take({"group-1", "group-2"}, sb1);
              }).code(),
              Errc::device_in_use);
    EXPECT_EQ(claims.owner("group-1"), std::nullopt);
    EXPECT_EQ(claims.names(), std::vector<std::string>{"group-2"});
}

TEST_F(ClaimsTest, OnlyTheOwnerDrops) {
    claims.take({"group-1"}, sb1);
    claims.drop("group-1", "sb2");
    EXPECT_EQ(claims.owner("group-1"), "sb1");
    claims.drop("group-1", "sb1");
    EXPECT_EQ(claims.owner("group-1"), std::nullopt);
    claims.drop("group-1", "sb1"); // again
    claims.take({"group-1"}, sb2);
    EXPECT_EQ(claims.owner("group-1"), "sb2");
}

TEST_F(ClaimsTest, OneOfASandboxThatIsGoneIsStale) {
    claims.take({"group-1"}, sb1);
    state.remove_sandbox("sb1");
    EXPECT_EQ(claims.owner("group-1"), std::nullopt);
    claims.take({"group-1"}, sb2);
    EXPECT_EQ(claims.owner("group-1"), "sb2");
}

TEST_F(ClaimsTest, OneOfAProcessThatLivesIsNeverTaken) {
    run(4711, 99);
    const Claim living{"sb1", 4711, 99};
    claims.take({"group-1"}, living);
    state.remove_sandbox("sb1"); // by hand, or put into quarantine
    EXPECT_EQ(claims.life(living), ClaimLife::living);
    EXPECT_EQ(failure_of([&] { claims.take({"group-1"}, sb2); }).blocker(), "sandbox sb1");
    EXPECT_FALSE(claims.drop_dead("group-1", living));

    run(4711, 100); // the pid is another process's now
    EXPECT_EQ(claims.life(living), ClaimLife::stale);
    claims.take({"group-1"}, sb2);
    EXPECT_EQ(claims.owner("group-1"), "sb2");
}

TEST_F(ClaimsTest, OneOfTheDeadIsNotTakenFromUnderItsRecord) {
    const Claim dead{"sb1", 4711, 99};
    claims.take({"group-1"}, dead);
    EXPECT_EQ(claims.life(dead), ClaimLife::remembered);
    const auto failure = failure_of([&] { claims.take({"group-1"}, sb2); });
    EXPECT_EQ(failure.code(), Errc::device_in_use);
    EXPECT_NE(failure.advice().find("kata-vfio reconcile gives the device back"), std::string::npos)
        << failure.advice();
}

TEST_F(ClaimsTest, ASandboxTakesItsOwnOverForItsNextQemu) {
    claims.take({"group-1"}, Claim{"sb1", 4711, 99});
    claims.take({"group-1"}, Claim{"sb1", 4712, 100});
    EXPECT_EQ(claims.read("group-1"), (Claim{"sb1", 4712, 100}));
}

TEST_F(ClaimsTest, DropDeadLeavesANewerOne) {
    const Claim before{"sb1", 4711, 99};
    claims.take({"group-1"}, before);
    claims.take({"group-1"}, Claim{"sb1", 4712, 100});
    EXPECT_FALSE(claims.drop_dead("group-1", before));
    EXPECT_TRUE(claims.drop_dead("group-1", Claim{"sb1", 4712, 100}));
    EXPECT_EQ(claims.names(), std::vector<std::string>{});
}

TEST_F(ClaimsTest, TheFormBeforePids) {
    write("group-1", "sb1\n");
    EXPECT_EQ(claims.read("group-1"), sb1);
    EXPECT_EQ(claims.owner("group-1"), "sb1");
}

TEST_F(ClaimsTest, ATornOneIsNobodys) {
    for (const char* torn : {"", "\n", "sb", "{\"v\":1,\"sandb"}) {
        write("group-1", torn);
        EXPECT_EQ(claims.owner("group-1"), std::nullopt) << torn;
        claims.take({"group-1"}, sb1);
        EXPECT_EQ(claims.owner("group-1"), "sb1") << torn;
        write("group-1", torn);
        claims.drop("group-1", "sb2"); // whoever meets it takes it away
        EXPECT_EQ(claims.names(), std::vector<std::string>{}) << torn;
    }
}

TEST_F(ClaimsTest, ADamagedOneIsNotGuessedAt) {
    for (const char* damaged :
         {"{\"v\":2,\"sandbox\":\"sb1\",\"pid\":1,\"start\":1}\n", "{\"v\":1}\n", "{]\n",
          "../sb1\n", "{\"v\":1,\"sandbox\":\"../x\",\"pid\":1,\"start\":1}\n",
          "{\"v\":1,\"sandbox\":\"sb1\",\"pid\":\"x\",\"start\":1}\n"}) {
        write("group-1", damaged);
        const auto failure = failure_of([&] { claims.take({"group-1"}, sb1); });
        EXPECT_EQ(failure.code(), Errc::state_corrupt) << damaged;
        EXPECT_EQ(failure.problem(), state.claims().string() + "/group-1 is not a claim");
        EXPECT_FALSE(failure.verbatim().empty());
        claims.drop("group-1", "sb1");
        EXPECT_EQ(file("group-1"), damaged); // left as it is
    }
}

// Where it says what one of ours would.
TEST_F(ClaimsTest, OneOfAnotherUserOrNoFileIsNotGuessedAt) {
    if (::geteuid() != 0)
        GTEST_SKIP() << "only root can give a file away";
    claims.take({"group-1"}, sb1);
    ASSERT_EQ(::chown(claims.file("group-1").c_str(), 4711, 4711), 0);
    root.link("/run/kata-vfio/claims/group-2", claims.file("group-1"));
    for (const std::string name : {"group-1", "group-2"}) {
        const auto failure = failure_of([&] { claims.take({name}, sb1); });
        EXPECT_EQ(failure.code(), Errc::state_corrupt);
        EXPECT_EQ(failure.verbatim(),
                  claims.file(name) +
                      (name == "group-1" ? " belongs to user 4711" : " is no regular file"));
        claims.drop(name, "sb1");
        EXPECT_TRUE(std::filesystem::exists(claims.file(name))) << "left as it is";
    }
}

TEST_F(ClaimsTest, OfManyAtOnceOneWins) {
    for (int i = 0; i < 8; ++i)
        state.ensure(state.sandbox("p" + std::to_string(i)));
    std::atomic<int> won = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i)
        threads.emplace_back([&, i] {
            try {
                claims.take({"group-1"}, Claim{"p" + std::to_string(i), 0, 0});
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
