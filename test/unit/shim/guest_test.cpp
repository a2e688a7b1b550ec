// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/vm/guest.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <vector>

namespace kata_vfio::shim {
namespace {

/// A guest whose words are written by the test, with one process.
class Hostile : public ::testing::Test {
  protected:
    Hostile() {
        std::array<int, 2> fds{};
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()), 0);
        theirs.reset(fds[1]);
        guest.emplace(io, UniqueFd(fds[0]));
        ProcessEvents events;
        events.output = [this](bool, const std::string& bytes) { output += bytes.size(); };
        events.output_end = [](bool) {};
        events.stdin_credit = [](std::uint32_t) {};
        events.exited = [](int) {};
        events.oom_kills = [this](std::uint32_t number) { kills.push_back(number); };
        process = guest->add_process(std::move(events));
        say(agent::FrameType::hello, 0, agent::to_payload(agent::Hello{2, "6.1"}));
    }
    void say(agent::FrameType type, std::uint32_t number, const std::string& payload) {
        const auto bytes = agent::encode(type, number, payload);
        EXPECT_EQ(::write(theirs.get(), bytes.data(), bytes.size()),
                  static_cast<ssize_t>(bytes.size()));
        io.poll();
        io.restart();
    }
    std::string lost() const { return guest->lost().ready() ? guest->lost().value() : ""; }

    boost::asio::io_context io{1};
    std::optional<Guest> guest;
    UniqueFd theirs;
    std::uint32_t process = 0;
    std::size_t output = 0;
    std::vector<std::uint32_t> kills;
};

TEST_F(Hostile, SaysNoMoreThanAWindowHolds) {
    const std::string block(agent::max_data, 'x');
    for (std::size_t sent = 0; sent < agent::window; sent += block.size())
        say(agent::FrameType::stdout_data, process, block);
    EXPECT_EQ(output, agent::window);
    EXPECT_EQ(lost(), "");
    say(agent::FrameType::stdout_data, process, "x");
    EXPECT_EQ(lost(), "the guest breaks the protocol: more output than there is room for");
    EXPECT_EQ(output, agent::window);
}

TEST_F(Hostile, AsMuchAgainOnceItIsPassedOn) {
    const std::string block(agent::max_data, 'x');
    for (std::size_t sent = 0; sent < agent::window; sent += block.size())
        say(agent::FrameType::stdout_data, process, block);
    guest->credit(process, false, 10);
    say(agent::FrameType::stdout_data, process, std::string(10, 'x'));
    EXPECT_EQ(lost(), "");
    say(agent::FrameType::stdout_data, process, "x");
    EXPECT_NE(lost(), "");
}

TEST_F(Hostile, TellsOfProcessesWithoutMemoryOnlyWhenThereAreMore) {
    using agent::number_payload;
    say(agent::FrameType::oom_kills, process, number_payload(1));
    say(agent::FrameType::oom_kills, process, number_payload(3));
    EXPECT_EQ(kills, (std::vector<std::uint32_t>{1, 3}));
    EXPECT_EQ(lost(), "");
    say(agent::FrameType::oom_kills, process, number_payload(3));
    EXPECT_EQ(lost(), "the guest breaks the protocol: processes without memory that are none");
    EXPECT_EQ(kills.size(), 2u);
}

TEST_F(Hostile, TellsThatOfAContainersFirstProcessAlone) {
    ProcessEvents of_exec;
    of_exec.exited = [](int) {};
    const auto exec = guest->add_process(std::move(of_exec));
    say(agent::FrameType::oom_kills, exec, agent::number_payload(1));
    EXPECT_EQ(lost(), "the guest breaks the protocol: processes without memory that are none");
}

TEST_F(Hostile, IsNotHeardOfAContainerThatIsDeleted) {
    guest->drop_process(process);
    say(agent::FrameType::oom_kills, process, agent::number_payload(1));
    EXPECT_EQ(lost(), "");
    EXPECT_TRUE(kills.empty());
    say(agent::FrameType::oom_kills, process + 1, agent::number_payload(1));
    EXPECT_EQ(lost(), "the guest breaks the protocol: a process nobody started");
}

} // namespace
} // namespace kata_vfio::shim
