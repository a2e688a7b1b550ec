// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/state_dir.hpp"

#include "test/unit/plugin/temp_dir.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <atomic>
#include <optional>
#include <thread>

namespace kata_vfio::plugin {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;

class StateDirTest : public ::testing::Test {
  protected:
    TempDir directory;
    StateDir state{directory.path() / "run" / "kata-vfio"};
};

TEST_F(StateDirTest, NothingIsMadeBeforeItIsNeeded) {
    EXPECT_THAT(state.sandbox_ids(), ElementsAre());
    EXPECT_FALSE(fs::exists(state.path()));
}

TEST_F(StateDirTest, IsItsOwnersAlone) {
    const auto held = state.lock_sandbox("sb1");
    struct stat status {};
    for (const auto& path : {state.path(), state.path() / "sandboxes", state.sandbox("sb1")}) {
        ASSERT_EQ(::stat(path.c_str(), &status), 0) << path;
        EXPECT_EQ(status.st_mode & 07777, 0700u) << path;
    }
    ASSERT_EQ(::stat((state.sandbox("sb1") / "lock").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0600u);
}

TEST_F(StateDirTest, IdsAreSortedDirectories) {
    for (const char* id : {"b", "a", "c"})
        state.ensure(state.sandbox(id));
    directory.write("run/kata-vfio/sandboxes/file", "");
    EXPECT_THAT(state.sandbox_ids(), ElementsAre("a", "b", "c"));
}

TEST_F(StateDirTest, AHeldSandboxIsBusyAndSaysByWhom) {
    auto held = state.lock_sandbox("sb1");
    const auto failure = failure_of([&] { state.lock_sandbox("sb1"); });
    EXPECT_EQ(failure.code(), Errc::sandbox_busy);
    EXPECT_EQ(failure.problem(), "another process is changing sandbox sb1");
    EXPECT_EQ(failure.blocker(), "pid " + std::to_string(::getpid()));
    const auto other = state.lock_sandbox("sb2"); // each has its own
    held.release();
    EXPECT_TRUE(state.lock_sandbox("sb1"));
}

TEST_F(StateDirTest, AHolderThatDoesNotSayWhoItIs) {
    const auto held = state.lock_sandbox("sb1");
    directory.write("run/kata-vfio/sandboxes/sb1/lock", "");
    EXPECT_EQ(failure_of([&] { state.lock_sandbox("sb1"); }).blocker(),
              "a process that did not say who it is");
}

// A child made while it was held, and still with all descriptors of ours, holds nothing.
TEST_F(StateDirTest, AReleasedLockIsFreeWhateverAChildHasOpen) {
    auto held = std::optional(state.lock_sandbox("sb1"));
    auto hosts = std::optional(state.lock());
    const auto child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0)
        for (;;)
            ::pause();
    held.reset();
    hosts.reset();
    EXPECT_TRUE(state.lock_sandbox("sb1"));
    EXPECT_TRUE(state.lock());
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
}

// flock goes with the process, however it ends.
TEST_F(StateDirTest, AKilledHolderHoldsNothing) {
    int ready[2];
    ASSERT_EQ(::pipe(ready), 0);
    const auto child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        const auto held = state.lock_sandbox("sb1");
        if (::write(ready[1], "x", 1) != 1)
            ::_exit(1);
        for (;;)
            ::pause();
    }
    char byte = 0;
    ASSERT_EQ(::read(ready[0], &byte, 1), 1);
    EXPECT_EQ(failure_of([&] { state.lock_sandbox("sb1"); }).blocker(),
              "pid " + std::to_string(child));
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(state.lock_sandbox("sb1"));
    ::close(ready[0]);
    ::close(ready[1]);
}

// Locked and removed by some, locked and kept by others, all at once: who has the lock has the
// file that the path names.
TEST_F(StateDirTest, ALockIsOnTheDirectoryThatIsThere) {
    std::atomic<int> inside = 0, taken = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&] {
            for (int round = 0; round < 200; ++round) {
                try {
                    const auto held = state.lock_sandbox("sb1");
                    EXPECT_EQ(inside.fetch_add(1), 0);
                    ++taken;
                    const auto mark = state.sandbox("sb1") / "state.json";
                    directory.write("run/kata-vfio/sandboxes/sb1/state.json", "x");
                    EXPECT_TRUE(fs::exists(mark)) << "somebody removed what we hold";
                    inside.fetch_sub(1);
                    if (round % 2 == 0)
                        state.remove_sandbox("sb1");
                } catch (const Failure& failure) {
                    EXPECT_EQ(name(failure.code()), name(Errc::sandbox_busy)) << failure.what();
                }
            }
        });
    for (auto& thread : threads)
        thread.join();
    EXPECT_GT(taken, 0);
}

TEST_F(StateDirTest, TheHostsLockIsWaitedFor) {
    std::atomic<int> inside = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&] {
            for (int round = 0; round < 50; ++round) {
                const auto held = state.lock();
                EXPECT_EQ(inside.fetch_add(1), 0);
                inside.fetch_sub(1);
            }
        });
    for (auto& thread : threads)
        thread.join();
}

TEST_F(StateDirTest, ARemovalThatWasKilledIsFinishedByTheNext) {
    auto held = state.lock_sandbox("sb1");
    fs::create_directories(state.path() / "sandboxes" / ".removed-1.1" / "state.json");
    EXPECT_THAT(state.sandbox_ids(), ElementsAre("sb1"));
    state.remove_sandbox("sb1");
    EXPECT_TRUE(fs::is_empty(state.path() / "sandboxes"));
    const auto failure = failure_of([&] { state.remove_sandbox("sb1"); });
    EXPECT_EQ(failure.code(), Errc::host_io);
}

TEST_F(StateDirTest, TemporariesOfTheKilledGoAndNothingElse) {
    const std::string top = "run/kata-vfio/";
    for (const char* each :
         {"sandboxes/sb1/state.json.aB3xY9", "sandboxes/sb1/state.json", "sandboxes/sb1/lock",
          "sandboxes/sb1/journal.aB3xY9", "sandboxes/sb2/state.json.Zz0000", "sandboxes/sb2/lock",
          "bound/0000:00:02.0.json.aB3xY9", "bound/0000:00:02.0.json",
          "sriov/0000:01:00.0.json.aB3xY9", "sriov/0000:01:00.0.json"}) {
        fs::create_directories((directory.path() / (top + each)).parent_path());
        directory.write(top + each, "x");
    }
    {
        const auto held = state.lock_sandbox("sb2"); // its writer is at work
        state.clear_temporaries();
    }
    EXPECT_FALSE(fs::exists(state.sandbox("sb1") / "state.json.aB3xY9"));
    EXPECT_TRUE(fs::exists(state.sandbox("sb1") / "state.json"));
    EXPECT_TRUE(fs::exists(state.sandbox("sb1") / "journal.aB3xY9"));
    EXPECT_TRUE(fs::exists(state.sandbox("sb2") / "state.json.Zz0000"));
    EXPECT_FALSE(fs::exists(state.bound() / "0000:00:02.0.json.aB3xY9"));
    EXPECT_TRUE(fs::exists(state.bound() / "0000:00:02.0.json"));
    EXPECT_FALSE(fs::exists(state.path() / "sriov/0000:01:00.0.json.aB3xY9"));
    EXPECT_TRUE(fs::exists(state.path() / "sriov/0000:01:00.0.json"));
    EXPECT_TRUE(state.lock_sandbox("sb1")); // let go again
    state.clear_temporaries();
    EXPECT_FALSE(fs::exists(state.sandbox("sb2") / "state.json.Zz0000"));
}

TEST_F(StateDirTest, AFileInTheWay) {
    directory.write("run", "not a directory");
    const auto failure = failure_of([&] { state.lock_sandbox("sb1"); });
    EXPECT_EQ(failure.code(), Errc::host_io);
    EXPECT_THAT(failure.what(), ::testing::HasSubstr("Not a directory"));
}

} // namespace
} // namespace kata_vfio::plugin
