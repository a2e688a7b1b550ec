// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/process.hpp"

#include "test/fixtures/fake_root/fake_root.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

namespace kata_vfio::plugin {
namespace {

using namespace std::chrono_literals;

/// Fields 3 to 24 as /proc has them, the 22nd (start time) being 98765.
std::string stat_line(const std::string& command, const std::string& state = "S") {
    return "4711 (" + command + ") " + state +
           " 1 4711 4711 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 3 0 98765 2300000 500\n";
}

class StartTime : public ::testing::Test {
  protected:
    std::optional<std::uint64_t> of(const std::string& line) const {
        root.write("/proc/4711/stat", line);
        return start_time(root.host(), 4711);
    }
    fake::FakeRoot root;
};

TEST_F(StartTime, IsField22) {
    EXPECT_EQ(of(stat_line("qemu-system-x86")), 98765u);
}

TEST_F(StartTime, WhateverTheCommandIsCalled) {
    EXPECT_EQ(of(stat_line("a b")), 98765u);
    EXPECT_EQ(of(stat_line(") S 1 2 3 (")), 98765u);
    EXPECT_EQ(of(stat_line("((()))")), 98765u);
    EXPECT_EQ(of(stat_line("")), 98765u);
}

TEST_F(StartTime, NoneOfNoProcess) {
    EXPECT_EQ(start_time(root.host(), 4712), std::nullopt);
    EXPECT_EQ(start_time(root.host(), 0), std::nullopt);
    EXPECT_EQ(start_time(root.host(), -1), std::nullopt);
}

TEST_F(StartTime, AZombieIsNone) {
    EXPECT_EQ(of(stat_line("qemu", "Z")), std::nullopt);
}

TEST_F(StartTime, NoneOfNonsense) {
    for (const char* line : {"", "4711", "4711 (qemu) S 1 2", "4711 (qemu"})
        EXPECT_EQ(of(line), std::nullopt) << line;
    EXPECT_EQ(of("4711 (qemu) S 1 1 1 0 -1 0 1 0 0 0 0 0 0 0 20 0 3 0 soon 1 1\n"), std::nullopt);
}

class AwaitExit : public ::testing::Test {
  protected:
    AwaitExit() : child(::fork()) {
        if (child == 0)
            for (;;)
                ::pause();
        start = *start_time(host, child);
    }
    ~AwaitExit() override {
        ::kill(child, SIGKILL);
        ::waitpid(child, nullptr, 0);
    }
    const vfio::HostRoot host; // /proc of this very host
    pid_t child;
    std::uint64_t start = 0;
};

TEST_F(AwaitExit, ARunningProcessUntilTheDeadline) {
    EXPECT_FALSE(await_process_exit(host, child, start, 10ms));
    EXPECT_FALSE(await_process_exit(host, child, start, 0ms));
}

TEST_F(AwaitExit, UntilItIsKilled) {
    bool gone = false;
    std::thread waiter([&] { gone = await_process_exit(host, child, start, 60s); });
    ::kill(child, SIGKILL); // not reaped: a zombie has closed its files
    waiter.join();
    EXPECT_TRUE(gone);
    EXPECT_TRUE(await_process_exit(host, child, start, 0ms));
}

TEST_F(AwaitExit, AnotherProcessOfThatPidIsNotWaitedFor) {
    EXPECT_TRUE(await_process_exit(host, child, start + 1, 60s));
    EXPECT_TRUE(await_process_exit(host, child, 0, 60s));
}

TEST_F(AwaitExit, NoSuchProcess) {
    EXPECT_TRUE(await_process_exit(host, 1 << 30, 1, 60s));
}

} // namespace
} // namespace kata_vfio::plugin
