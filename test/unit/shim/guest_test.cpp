// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/ttrpc/status.hpp"
#include "runtime-plugin/shim/vm/guest.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
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
        // The least there is: what the guest does not read soon waits in the shim.
        const int least = 1;
        EXPECT_EQ(::setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof least), 0);
        guest.emplace(io, UniqueFd(fds[0]));
        ProcessEvents events;
        events.output = [this](bool is_err, const std::string& bytes) {
            output += bytes.size();
            if (no_reader)
                guest->credit(process, is_err, static_cast<std::uint32_t>(bytes.size()));
        };
        events.output_end = [](bool) {};
        events.stdin_credit = [](std::uint32_t) {};
        events.exited = [](int) {};
        events.oom_kills = [this](std::uint32_t number) { kills.push_back(number); };
        process = guest->add_process(std::move(events));
        say(agent::FrameType::hello, 0, agent::to_payload(agent::Hello{2, "6.1"}));
    }
    void say(agent::FrameType type, std::uint32_t number, const std::string& payload) {
        say(agent::encode(type, number, payload));
    }
    void say(const std::string& bytes) {
        EXPECT_EQ(::send(theirs.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
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
    bool no_reader = false; ///< of the output: room for more of it at once
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

std::size_t allocated() {
    const auto now = ::mallinfo2();
    return now.uordblks + now.hblkhd;
}

TEST_F(Hostile, ThatReadsNothingCostsNoMoreThanTheWindows) {
    no_reader = true;
    std::string frames;
    for (int i = 0; i < 1000; ++i)
        frames += agent::encode(agent::FrameType::stderr_data, process, "x");
    const auto before = allocated();
    std::size_t most = 0;
    for (int i = 0; i < 4000 && lost().empty(); ++i) {
        say(frames);
        most = std::max(most, allocated());
    }
    EXPECT_EQ(lost(), "the guest breaks the protocol: more output than there is room for");
    EXPECT_TRUE(guest->broke_protocol());
    EXPECT_LT(most, before + 2 * agent::window);
    EXPECT_LT(output, 4 * agent::window);
}

TEST_F(Hostile, CreditsNoStdinThatStillWaitsForThePort) {
    const std::string block(agent::max_data, 'x');
    for (std::size_t sent = 0; sent < agent::window; sent += block.size())
        guest->send_stdin(process, block);
    // The port was given one frame, and has place for less.
    say(agent::FrameType::stdin_credit, process, agent::number_payload(agent::max_data));
    EXPECT_EQ(lost(), "");
    say(agent::FrameType::stdin_credit, process, agent::number_payload(1));
    EXPECT_EQ(lost(), "the guest breaks the protocol: a credit for more than was sent");
    EXPECT_TRUE(guest->broke_protocol());
}

TEST_F(Hostile, LeavesNoMoreRequestsUnreadThanAreKept) {
    int answers = 0;
    const auto ask = [&]() -> boost::asio::awaitable<void> {
        try {
            agent::Call call = agent::Remove{std::string(1000000, 'x')};
            co_await guest->call(std::move(call), std::chrono::minutes(1));
        } catch (const ttrpc::Error&) {
            ++answers;
        }
    };
    // The first is with the port, sixteen are kept.
    for (int i = 0; i < 17; ++i) {
        boost::asio::co_spawn(io, ask, boost::asio::detached);
        io.poll();
    }
    EXPECT_EQ(lost(), "");
    EXPECT_EQ(answers, 0);
    boost::asio::co_spawn(io, ask, boost::asio::detached);
    io.poll();
    EXPECT_EQ(lost(), "the guest does not read what it is sent");
    EXPECT_TRUE(guest->broke_protocol());
    EXPECT_EQ(answers, 18);
}

/// A guest that keeps to the protocol: its process says again what it reads.
class Honest : public Hostile {
  protected:
    Honest() { no_reader = true; }

    /// Takes at most `most` bytes of the port, says again what it may in frames of `part` bytes.
    void step(std::size_t most, std::size_t part) {
        std::string bytes(most, 0);
        const auto count = ::recv(theirs.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
        if (count > 0)
            reader.feed(std::string_view(bytes.data(), static_cast<std::size_t>(count)));
        while (const auto frame = reader.next()) {
            if (frame->type == agent::FrameType::stdin_data)
                heard += frame->payload;
            else if (frame->type == agent::FrameType::stdout_credit)
                room += agent::payload_number(*frame);
        }
        ASSERT_LE(heard.size(), agent::window);
        ASSERT_LE(room, agent::window);
        std::size_t begin = 0;
        while (begin < heard.size() && room > 0) {
            const auto again = heard.substr(begin, std::min<std::size_t>(part, room));
            const auto size = static_cast<std::uint32_t>(again.size());
            unsaid +=
                agent::encode(agent::FrameType::stdin_credit, process, agent::number_payload(size));
            unsaid += agent::encode(agent::FrameType::stdout_data, process, again);
            room -= size;
            begin += size;
        }
        heard.erase(0, begin);
        const auto said =
            ::send(theirs.get(), unsaid.data(), unsaid.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (said > 0)
            unsaid.erase(0, static_cast<std::size_t>(said));
    }
    /// Through it and back, as Stdio does it: no more of stdin than there is room for.
    void pass(std::size_t size, std::size_t most, std::size_t part) {
        const auto byte = [](std::size_t at) { return static_cast<char>(at * 31 + (at >> 12)); };
        std::size_t told = 0, back = 0;
        std::uint32_t stdin_room = agent::window;
        bool intact = true;
        ProcessEvents events;
        events.output = [&](bool, const std::string& bytes) {
            for (const char each : bytes)
                intact = intact && each == byte(back++);
            guest->credit(process, false, static_cast<std::uint32_t>(bytes.size()));
        };
        events.stdin_credit = [&](std::uint32_t bytes) { stdin_room += bytes; };
        process = guest->add_process(std::move(events));
        std::string block;
        while (back < size && lost().empty() && !HasFatalFailure()) {
            block.clear();
            const auto next = std::min({agent::max_data, size - told, std::size_t{stdin_room}});
            while (block.size() < next)
                block.push_back(byte(told++));
            stdin_room -= static_cast<std::uint32_t>(next);
            guest->send_stdin(process, block);
            io.poll();
            io.restart();
            step(most, part);
        }
        EXPECT_EQ(lost(), "");
        EXPECT_TRUE(intact);
        EXPECT_EQ(back, size);
    }

    agent::FrameReader reader{agent::Sender::host};
    std::string heard, unsaid;
    std::uint32_t room = agent::window;
};

TEST_F(Honest, GuestGetsAHundredMegabytesInAndOut) {
    pass(100'000'000, 65536, agent::max_data);
}

TEST_F(Honest, GuestMayBeSlowAndSaySingleBytes) {
    pass(std::size_t{4} * agent::window, 1500, 1);
}

TEST_F(Honest, GuestMayUseACreditBeforeTheRestIsWritten) {
    no_reader = false;
    const std::string block(agent::max_data, 'x');
    for (std::size_t sent = 0; sent < agent::window; sent += block.size())
        say(agent::FrameType::stdout_data, process, block);
    guest->credit(process, false, 10);
    guest->send_stdin(process, block);
    io.poll();
    io.restart();
    std::array<char, 13> credit{};
    ASSERT_EQ(::recv(theirs.get(), credit.data(), credit.size(), 0), 13);
    EXPECT_EQ(std::string(credit.data(), credit.size()),
              agent::encode(agent::FrameType::stdout_credit, process, agent::number_payload(10)));
    say(agent::FrameType::stdout_data, process, std::string(10, 'x'));
    EXPECT_EQ(lost(), "");
    EXPECT_EQ(output, agent::window + 10);
}

} // namespace
} // namespace kata_vfio::shim
