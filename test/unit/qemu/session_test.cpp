// SPDX-License-Identifier: Apache-2.0
// Events, the end of a connection, and its states.
#include "qemu/qmp/session.hpp"

#include "session_support.hpp"
#include "test/fixtures/fake_qmp/fake_machine.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>

#include <sys/socket.h>

using namespace kata_vfio;
using namespace kata_vfio::qemu;
using namespace std::chrono_literals;
using fake::failure_of;
using fake::FakeQmp;
using fake::run;
namespace asio = boost::asio;

TEST(Session, CloseFailsWhateverWaits) {
    FakeQmp peer;
    peer.greeting().capabilities().expect("query-pci").expect_hangup().start();
    run([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(peer.path(), patient());
        bool told = false;
        session->on_lost([&](const Failure&) { told = true; });
        const auto executor = co_await asio::this_coro::executor;
        asio::post(executor, [session] { session->close(); });
        try {
            auto command = query_pci();
            co_await session->execute(std::move(command));
            ADD_FAILURE();
        } catch (const Failure& failure) {
            expect_text(failure, Errc::cancelled, "was closed");
        }
        EXPECT_FALSE(session->running());
        EXPECT_FALSE(told);
        try {
            auto command = query_status();
            co_await session->execute(std::move(command));
            ADD_FAILURE();
        } catch (const Failure& failure) {
            EXPECT_EQ(failure.code(), Errc::cancelled);
        }
    });
    EXPECT_EQ(peer.finish(), None{});
}

TEST(Session, LossIsToldOnceWithItsReason) {
    FakeQmp peer;
    peer.greeting().capabilities().event("SHUTDOWN").close().start();
    run([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(peer.path(), patient());
        int told = 0;
        session->on_lost([&](const Failure& why) {
            ++told;
            expect_text(why, Errc::qemu_gone, "its last event was SHUTDOWN");
        });
        auto waiter = session->arm([](const Event&) { return false; });
        try {
            const auto deadline = std::chrono::steady_clock::now() + 30s;
            (void)co_await waiter.wait_until(deadline);
            ADD_FAILURE();
        } catch (const Failure& why) {
            EXPECT_EQ(why.code(), Errc::qemu_gone);
        }
        EXPECT_EQ(told, 1);
        EXPECT_EQ(session->lost()->code(), Errc::qemu_gone);
    });
    peer.finish();
}

TEST(Session, WaiterSeesWhatCameBeforeTheReplyAndInOrder) {
    FakeQmp peer;
    peer.greeting().capabilities().expect("device_del", {{"id", "gpu0"}});
    for (int i = 0; i < 70; ++i)
        peer.event("DEVICE_DELETED", {{"n", i}});
    peer.event("STOP").reply().expect_hangup().start();
    run([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(peer.path(), patient());
        auto waiter = session->arm([](const Event& e) { return e.name == "DEVICE_DELETED"; });
        auto command = device_del("gpu0");
        co_await session->execute(std::move(command));
        const auto now = std::chrono::steady_clock::now();
        for (int i = 0; i < 64; ++i) {
            const auto event = co_await waiter.wait_until(now);
            if (!event) {
                ADD_FAILURE() << i;
                co_return;
            }
            EXPECT_EQ(event->data.at("n"), i);
        }
        const auto none = co_await waiter.wait_until(now);
        EXPECT_FALSE(none);
        EXPECT_EQ(waiter.overflowed(), 6u);
    });
    EXPECT_EQ(peer.finish(), None{});
}

// A consumer that sleeps costs the events it does not fetch, and nobody's answer.
TEST(Session, AMillionEventsUnreadAreDroppedAndCountedAndNobodyWaits) {
    constexpr unsigned events = 1'000'000;
    const std::string_view event = "{\"event\": \"STOP\"}\r\n";
    std::string burst;
    burst.reserve(events * event.size());
    for (unsigned i = 0; i < events; ++i)
        burst += event;
    FakeQmp peer;
    peer.greeting()
        .capabilities()
        .expect("query-status")
        .raw(std::move(burst))
        .reply("well")
        .expect_hangup()
        .start();
    run([&]() -> asio::awaitable<void> {
        auto timeouts = patient();
        timeouts.query = 120s;
        const auto session = co_await Session::connect(peer.path(), timeouts);
        auto sleeper = session->arm([](const Event&) { return true; });
        auto command = query_status();
        const auto value = co_await session->execute(std::move(command));
        EXPECT_EQ(value, "well");
        EXPECT_EQ(sleeper.overflowed(), events - 64);
        const auto first = co_await sleeper.wait_until(std::chrono::steady_clock::now());
        EXPECT_TRUE(first);
    });
    EXPECT_EQ(peer.finish(), None{});
}

TEST(Session, FromFd) {
    int pair[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    UniqueFd ours(pair[0]), theirs(pair[1]);
    const std::string_view script = "{\"QMP\": {}}\r\n{\"return\": {}, \"id\": 0}\r\n";
    ASSERT_EQ(::send(theirs.get(), script.data(), script.size(), 0),
              static_cast<ssize_t>(script.size()));
    run([&]() -> asio::awaitable<void> {
        const auto name = "fd " + std::to_string(ours.get());
        const auto session = co_await Session::from_fd(std::move(ours), patient());
        EXPECT_TRUE(session->running());
        EXPECT_EQ(session->where(), name);
    });
    char buffer[200];
    const auto size = ::recv(theirs.get(), buffer, sizeof buffer, 0);
    EXPECT_EQ(std::string(buffer, static_cast<std::size_t>(size)),
              "{\"execute\":\"qmp_capabilities\",\"id\":0}\n");
    EXPECT_EQ(::recv(theirs.get(), buffer, sizeof buffer, 0), 0); // closed with the session

    const auto unconnected = failure_of([&]() -> asio::awaitable<void> {
        UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        (void)co_await Session::from_fd(std::move(fd), patient());
    });
    expect_text(unconnected, Errc::monitor_refused, "not connected");
}

TEST(Session, UnresponsiveUntilTheOldestCommandIsAnswered) {
    fake::FakeMachine machine;
    machine.block_on("query-pci");
    std::vector<std::string> told;
    run([&]() -> asio::awaitable<void> {
        auto timeouts = patient();
        timeouts.unresponsive = 20ms;
        timeouts.query = 60ms; // the command is given up, and QEMU owes its answer all the same
        const auto session = co_await Session::connect(machine.path(), timeouts);
        session->on_state([&](SessionState state, const std::string& text) {
            EXPECT_EQ(state, session->state());
            told.push_back(text);
        });
        EXPECT_EQ(session->state(), SessionState::running);
        auto command = query_pci();
        try {
            (void)co_await session->execute(std::move(command));
            ADD_FAILURE();
        } catch (const Failure& failure) {
            EXPECT_EQ(failure.code(), Errc::qmp_timeout);
        }
        EXPECT_EQ(session->state(), SessionState::unresponsive);
        EXPECT_TRUE(session->running()); // commands may be sent, and will be answered in turn
        machine.unblock();
        auto next = Command("query-status", {}, CommandClass::device_add);
        (void)co_await session->execute(std::move(next));
        EXPECT_EQ(session->state(), SessionState::running);
        EXPECT_EQ(session->counters().late, 1u);
    });
    const std::vector<std::string> expected{
        "QEMU's monitor " + machine.path() +
            " has not answered query-pci for 20 ms: the process may be stopped, or its host "
            "overloaded",
        "QEMU's monitor " + machine.path() + " answers again"};
    EXPECT_EQ(told, expected);
}
