// SPDX-License-Identifier: Apache-2.0
#include "vfio/host_write.hpp"

#include "expect_failure.hpp"
#include "test/fixtures/fake_root/fake_root.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <sstream>
#include <thread>

using namespace kata_vfio;
using namespace kata_vfio::vfio;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

int open_fds() {
    return static_cast<int>(
        std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()));
}

/// Any child at all, also of the kind that plain waits do not see.
bool has_child() {
    siginfo_t info{};
    return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0;
}

std::atomic<int> sigchlds = 0;

class HostWrite : public testing::Test {
  protected:
    void SetUp() override {
        // Left by tests of blocked writes whose helper nobody keeps: documented at PendingWrite.
        siginfo_t info{};
        while (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | __WALL) == 0 && info.si_pid != 0)
            info = {};
        ASSERT_FALSE(has_child());
        fds = open_fds();
        struct sigaction action {};
        action.sa_handler = [](int) { ++sigchlds; };
        ::sigaction(SIGCHLD, &action, &old);
        sigchlds = 0;
    }
    void TearDown() override {
        ::sigaction(SIGCHLD, &old, nullptr);
        EXPECT_EQ(open_fds(), fds);
        EXPECT_FALSE(has_child());
        EXPECT_EQ(sigchlds, 0);
    }
    fs::path fifo(const char* name) {
        auto path = root.at("/run") / name;
        EXPECT_EQ(::mkfifo(path.c_str(), 0600), 0);
        return path;
    }
    fake::FakeRoot root;
    int fds = 0;
    struct sigaction old {};
};

} // namespace

TEST_F(HostWrite, WritesAndLeavesNothing) {
    root.write("/run/control", "old and longer\n");
    EXPECT_EQ(host_write(root.at("/run/control"), "new\n", 10s).outcome, HostWriteOutcome::done);
    EXPECT_EQ(root.read("/run/control"), "new\n");
    EXPECT_EQ(host_write_direct(root.at("/run/control"), "x").outcome, HostWriteOutcome::done);
    EXPECT_EQ(root.read("/run/control"), "x");
}

TEST_F(HostWrite, AWriteOfNothingIsAProgrammingError) {
    root.write("/run/control", "old");
    EXPECT_THROW(host_write(root.at("/run/control"), "", 1s), std::invalid_argument);
    EXPECT_THROW(host_write_direct(root.at("/run/control"), ""), std::invalid_argument);
    EXPECT_EQ(root.read("/run/control"), "old");
}

TEST_F(HostWrite, TheErrnoAndWhereItCameFrom) {
    for (const bool direct : {false, true}) {
        const auto write = [&](const fs::path& path) {
            return direct ? host_write_direct(path, "1\n") : host_write(path, "1\n", 10s);
        };
        auto result = write(root.at("/run/none"));
        EXPECT_EQ(result.outcome, HostWriteOutcome::failed);
        EXPECT_EQ(result.error, ENOENT);
        EXPECT_TRUE(result.at_open);
        EXPECT_EQ(write(root.at("/run")).error, EISDIR);
        root.link("/run/link", "control");
        EXPECT_EQ(write(root.at("/run/link")).error, ELOOP); // never through a planted link
        result = write("/dev/full");
        EXPECT_EQ(result.error, ENOSPC);
        EXPECT_FALSE(result.at_open);
    }
}

TEST_F(HostWrite, BlockedBeyondTheDeadlineThenHeardOf) {
    const auto path = fifo("blocked"); // no reader: open blocks, as a busy `remove` does
    auto result = host_write(path, "1\n", 20ms);
    ASSERT_EQ(result.outcome, HostWriteOutcome::pending);
    ASSERT_TRUE(result.helper);
    EXPECT_GT(result.helper->pid(), 0);
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "the embedding process must not see it";
    EXPECT_EQ(errno, ECHILD);
    EXPECT_EQ(result.helper->wait(1ms).outcome, HostWriteOutcome::pending);
    {
        const UniqueFd reader(::open(path.c_str(), O_RDONLY));
        pollfd item{result.helper->pidfd(), POLLIN, 0};
        EXPECT_EQ(::poll(&item, 1, 10000), 1);
        char text[8] = {};
        EXPECT_EQ(::read(reader.get(), text, sizeof text), 2);
        EXPECT_STREQ(text, "1\n");
    }
    const auto end = result.helper->wait(10s);
    EXPECT_EQ(end.outcome, HostWriteOutcome::done);
}

TEST_F(HostWrite, AKilledChildIsAFailureNotAHang) {
    const auto path = fifo("blocked");
    auto result = host_write(path, "1\n", 5ms);
    ASSERT_EQ(result.outcome, HostWriteOutcome::pending);
    ::kill(result.helper->pid(), SIGTERM); // blocked in the child, as all signals are
    EXPECT_EQ(result.helper->wait(20ms).outcome, HostWriteOutcome::pending);
    ::kill(result.helper->pid(), SIGKILL);
    const auto end = result.helper->wait(10s);
    EXPECT_EQ(end.outcome, HostWriteOutcome::failed);
    EXPECT_EQ(end.error, EINTR);
}

TEST_F(HostWrite, ABlockedChildKeepsNothingOfTheHostOpen) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    UniqueFd reader(ends[0]), writer(ends[1]);
    const auto path = fifo("blocked");
    auto result = host_write(path, "1\n", 20ms);
    ASSERT_EQ(result.outcome, HostWriteOutcome::pending);
    writer.reset();
    pollfd item{reader.get(), POLLIN, 0};
    EXPECT_EQ(::poll(&item, 1, 5000), 1);
    EXPECT_TRUE(item.revents & POLLHUP) << "the child holds a copy of the host's pipe";
    ::kill(result.helper->pid(), SIGKILL);
    EXPECT_EQ(result.helper->wait(10s).outcome, HostWriteOutcome::failed);
}

TEST_F(HostWrite, AnEndedHelperThatNobodyAskedIsReaped) {
    const auto path = fifo("blocked");
    {
        auto result = host_write(path, "1\n", 5ms);
        ASSERT_EQ(result.outcome, HostWriteOutcome::pending);
        ::kill(result.helper->pid(), SIGKILL);
        pollfd item{result.helper->pidfd(), POLLIN, 0};
        EXPECT_EQ(::poll(&item, 1, 10000), 1);
    }
}

TEST_F(HostWrite, FromManyThreads) {
    std::vector<std::thread> threads;
    std::atomic<int> done = 0;
    for (int t = 0; t < 4; ++t) {
        root.write("/run/t" + std::to_string(t), "");
        threads.emplace_back([&, t] {
            for (int i = 0; i < 25; ++i)
                done += host_write(root.at("/run/t" + std::to_string(t)), "x", 30s).outcome ==
                        HostWriteOutcome::done;
        });
    }
    for (auto& thread : threads)
        thread.join();
    EXPECT_EQ(done, 100);
}

TEST_F(HostWrite, TheSignalMaskIsAsBefore) {
    sigset_t before, after;
    ::sigemptyset(&before);
    ::sigaddset(&before, SIGUSR2);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    root.write("/run/control", "");
    host_write(root.at("/run/control"), "1", 10s);
    ::pthread_sigmask(SIG_SETMASK, nullptr, &after);
    EXPECT_TRUE(::sigismember(&after, SIGUSR2));
    EXPECT_FALSE(::sigismember(&after, SIGTERM));
    ::sigemptyset(&before);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST_F(HostWrite, BoundedRead) {
    root.write("/run/value", "vfio-pci\n");
    EXPECT_EQ(host_read(root.at("/run/value"), 10s), "vfio-pci");
    EXPECT_EQ(host_read(root.at("/run/none"), 10s), std::nullopt);
}

TEST(HostWriteOutcome, Prints) {
    std::ostringstream out;
    out << HostWriteOutcome::done << HostWriteOutcome::failed << HostWriteOutcome::pending;
    EXPECT_EQ(out.str(), "donefailedpending");
}
