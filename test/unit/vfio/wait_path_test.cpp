// SPDX-License-Identifier: Apache-2.0
#include "vfio/wait_path.hpp"

#include "test/fixtures/fake_root/fake_root.hpp"

#include <gtest/gtest.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

using namespace kata_vfio;
using namespace kata_vfio::vfio;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

WatchPool pool;

/// Does something a little later, in a thread: a timer, so that the waiter really waits.
std::thread later(std::chrono::milliseconds after, std::function<void()> act) {
    return std::thread([after, act = std::move(act)] {
        const int timer = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
        itimerspec when{};
        when.it_value.tv_nsec = std::chrono::nanoseconds(after).count();
        ::timerfd_settime(timer, 0, &when, nullptr);
        std::uint64_t ticks = 0;
        EXPECT_EQ(::read(timer, &ticks, sizeof ticks), 8);
        ::close(timer);
        act();
    });
}

} // namespace

TEST(WaitPath, ThereAlreadyCostsNoWait) {
    fake::FakeRoot root;
    EXPECT_TRUE(wait_exists(root.at("/sys/bus"), 0ms, pool));
    EXPECT_TRUE(wait_gone(root.at("/sys/none"), 0ms, pool));
}

TEST(WaitPath, TheDeadlineEndsIt) {
    fake::FakeRoot root;
    const auto start = Deadline::Clock::now();
    EXPECT_FALSE(wait_exists(root.at("/sys/none/at/all"), 30ms, pool));
    EXPECT_FALSE(wait_gone(root.at("/sys/bus"), 30ms, pool));
    EXPECT_GE(Deadline::Clock::now() - start, 60ms);
}

TEST(WaitPath, DirectoriesMadeOneByOne) {
    fake::FakeRoot root;
    auto maker = later(20ms, [&] {
        fs::create_directory(root.at("/run/a"));
        fs::create_directory(root.at("/run/a/b"));
        std::ofstream(root.at("/run/a/b/c")) << "x";
    });
    const auto start = Deadline::Clock::now();
    EXPECT_TRUE(wait_exists(root.at("/run/a/b/c"), 10s, pool));
    EXPECT_LT(Deadline::Clock::now() - start, 5s);
    maker.join();
}

TEST(WaitPath, GoneWithTheWholeDirectory) {
    fake::FakeRoot root;
    fs::create_directories(root.at("/run/a/b"));
    auto remover = later(20ms, [&] { fs::remove_all(root.at("/run/a")); });
    EXPECT_TRUE(wait_gone(root.at("/run/a/b"), 10s, pool));
    remover.join();
}

TEST(WaitPath, GoneByRename) {
    fake::FakeRoot root;
    fs::create_directories(root.at("/run/a/b"));
    auto mover = later(20ms, [&] { fs::rename(root.at("/run/a"), root.at("/run/z")); });
    EXPECT_TRUE(wait_gone(root.at("/run/a/b"), 10s, pool));
    mover.join();
}

TEST(WaitPath, ADanglingLinkExists) {
    fake::FakeRoot root;
    auto maker = later(20ms, [&] { fs::create_symlink("/nowhere", root.at("/run/link")); });
    EXPECT_TRUE(wait_exists(root.at("/run/link"), 10s, pool));
    maker.join();
}

TEST(WaitPath, NamesRecreatedManyTimesAreNotMissed) {
    fake::FakeRoot root;
    for (int i = 0; i < 50; ++i) {
        std::thread maker([&] {
            fs::create_directories(root.at("/run/x/y"));
            std::ofstream(root.at("/run/x/y/z")) << "x";
        });
        EXPECT_TRUE(wait_exists(root.at("/run/x/y/z"), 10s, pool)) << i;
        maker.join();
        fs::remove_all(root.at("/run/x"));
    }
}

TEST(WaitPath, OnRealSysfsAnEffectIsFinalAtOnce) {
    if (!fs::exists("/sys/kernel"))
        GTEST_SKIP() << "no sysfs is mounted here";
    const auto start = Deadline::Clock::now();
    EXPECT_FALSE(settled(
        "/sys/kernel", [] { return false; }, 10s, pool));
    EXPECT_LT(Deadline::Clock::now() - start, 5s);
    // Another's change is looked for again and again: no event would come.
    int asked = 0;
    EXPECT_TRUE(wait_until(
        "/sys/kernel", [&] { return ++asked == 5; }, 10s, pool));
}

TEST(WaitPath, DescriptorsAreKeptAndBounded) {
    fake::FakeRoot root;
    WatchPool own;
    const auto count = [] {
        return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
    };
    const auto before = count();
    for (int i = 0; i < 20; ++i)
        EXPECT_FALSE(wait_exists(root.at("/run/none"), 1ms, own));
    EXPECT_EQ(count(), before + 1);
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i)
        threads.emplace_back([&] { EXPECT_FALSE(wait_exists(root.at("/run/none"), 50ms, own)); });
    for (auto& thread : threads)
        thread.join();
    EXPECT_LE(count(), before + static_cast<long>(WatchPool::most_idle));
}

TEST(Deadline, NeverEarlyNeverNegative) {
    EXPECT_EQ(Deadline(-5s).poll_ms(), 0);
    EXPECT_TRUE(Deadline(0ms).passed());
    const Deadline soon(1500us);
    EXPECT_GE(soon.poll_ms(), 1);
    EXPECT_LE(soon.poll_ms(), 2);
}
