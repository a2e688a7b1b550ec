// SPDX-License-Identifier: Apache-2.0
// Faults of a peer on the wire that need a script of their own; docs/testing.md has the whole list.
#include "session_support.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>

#include <future>

using namespace kata_vfio;
using namespace kata_vfio::qemu;
using namespace std::chrono_literals;
using fake::FakeQmp;
using fake::run;
namespace asio = boost::asio;
namespace json = boost::json;

namespace {

asio::awaitable<json::value> ask(Session& session, CommandClass cls = CommandClass::query) {
    auto command = Command("query-status", {}, cls);
    co_return co_await session.execute(std::move(command));
}

} // namespace

// The monitor belongs to another client, which leaves while we wait.
TEST(PeerFault, LateGreetingIsTaken) {
    std::promise<void> other_left;
    FakeQmp peer;
    peer.call([&] { other_left.get_future().wait(); })
        .greeting()
        .capabilities()
        .expect("query-status")
        .reply("served")
        .expect_hangup()
        .start();
    run([&]() -> asio::awaitable<void> {
        const auto executor = co_await asio::this_coro::executor;
        // Its turn comes when connecting has come to where it waits.
        asio::post(executor, [&] { other_left.set_value(); });
        const auto session = co_await Session::connect(peer.path(), patient());
        const auto value = co_await ask(*session);
        EXPECT_EQ(value, "served");
    });
    EXPECT_EQ(peer.finish(), None{});
}

// `GET / HTTP/1.1` makes QEMU's parser complain four times.
TEST(PeerFault, BurstOfErrorsWithoutIdCostsWhatIsInFlightAndNoMore) {
    FakeQmp peer;
    peer.greeting().capabilities().expect("query-status");
    for (int i = 0; i < 4; ++i)
        peer.error_without_id("JSON parse error, stray 'GET'");
    peer.event("STOP").expect("query-status").reply("well").expect_hangup().start();
    run([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(peer.path(), patient());
        auto waiter = session->arm([](const Event& event) { return event.name == "STOP"; });
        try {
            (void)co_await ask(*session);
            ADD_FAILURE();
        } catch (const Failure& failure) {
            EXPECT_STREQ(failure.what(),
                         "QEMU could not read query-status: JSON parse error, stray 'GET'");
        }
        const auto event = co_await waiter.wait_until(std::chrono::steady_clock::now() + 30s);
        EXPECT_TRUE(event);
        const auto value = co_await ask(*session);
        EXPECT_EQ(value, "well");
        EXPECT_EQ(session->counters().orphans, 3u);
    });
    EXPECT_EQ(peer.finish(), None{});
}

TEST(PeerFault, SixteenMebibytesAndOneByteCostOneCommand) {
    const std::size_t limit = FrameLimits().max_bytes;
    const std::string head = "{\"return\": \"", tail = "\", \"id\": N}";
    const auto line = [&](std::size_t size, const char* id) {
        auto text = head + std::string(size - head.size() - tail.size(), 'x') + tail;
        text[text.size() - 2] = *id;
        return text;
    };
    FakeQmp peer;
    peer.greeting()
        .capabilities()
        .expect("query-status")
        .raw(line(limit, "1") + "\r\n")
        .expect("query-status")
        .raw(line(limit + 1, "2") + "\r\n")
        .expect("query-status")
        .reply("well")
        .expect_hangup()
        .start();
    run([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(peer.path(), patient());
        const auto largest = co_await ask(*session);
        EXPECT_EQ(largest.as_string().size(), limit - head.size() - tail.size());
        try {
            (void)co_await ask(*session);
            ADD_FAILURE();
        } catch (const Failure& failure) {
            EXPECT_EQ(failure.code(), Errc::qmp_protocol);
            EXPECT_NE(failure.problem().find("longer than our limit"), std::string::npos)
                << failure.problem();
        }
        const auto value = co_await ask(*session);
        EXPECT_EQ(value, "well");
    });
    EXPECT_EQ(peer.finish(), None{});
}

TEST(PeerFault, LinesMayEndAnyWayOrNotAtAll) {
    for (const std::string end : {"\r\n", "\n", "", "\n\n\r\n  \t"}) {
        SCOPED_TRACE(testing::PrintToString(end));
        FakeQmp peer;
        peer.raw("{\"QMP\": {}}" + end)
            .expect("qmp_capabilities")
            .raw("{\"return\": {}, \"id\": 0}" + end)
            .expect("query-status")
            .raw("{\"event\": \"STOP\"}" + end + "{\"id\": 1, \"return\": \"well\"}" + end)
            .expect_hangup()
            .start();
        run([&]() -> asio::awaitable<void> {
            const auto session = co_await Session::connect(peer.path(), patient());
            const auto value = co_await ask(*session);
            EXPECT_EQ(value, "well");
            EXPECT_EQ(session->counters().bad, 0u);
        });
        EXPECT_EQ(peer.finish(), None{});
    }
}

// QEMU stands still while we write: the socket's buffer fills up and stays full.
TEST(PeerFault, UnreadPeerHoldsNobodyUpAndIsServedWhenItReads) {
    std::promise<void> wakes;
    FakeQmp peer;
    peer.greeting()
        .capabilities()
        .call([&] { wakes.get_future().wait(); })
        .expect("device_add")
        .reply("late")
        .expect("query-status")
        .reply("well")
        .expect_hangup()
        .start();
    run([&]() -> asio::awaitable<void> {
        auto timeouts = patient();
        timeouts.query = timeouts.device_del = 60ms;
        const auto session = co_await Session::connect(peer.path(), timeouts);
        auto large =
            Command("device_add", {{"id", std::string(4u << 20, 'x')}}, CommandClass::device_del);
        try {
            co_await session->execute(std::move(large));
            ADD_FAILURE();
        } catch (const Failure& failure) {
            EXPECT_EQ(failure.code(), Errc::qmp_timeout);
        }
        try {
            (void)co_await ask(*session);
            ADD_FAILURE();
        } catch (const Failure& failure) {
            EXPECT_EQ(failure.blocker(),
                      "1 earlier commands QEMU has not answered, the oldest device_add");
        }
        wakes.set_value();
        // What timed out before it was written is never sent.
        const auto value = co_await ask(*session, CommandClass::device_add);
        EXPECT_EQ(value, "well");
        EXPECT_EQ(session->counters().late, 1u);
    });
    EXPECT_EQ(peer.finish(), None{});
}

TEST(PeerFault, ClosingWhileThePeerDoesNotReadEndsAtOnce) {
    std::promise<void> wakes;
    FakeQmp peer;
    peer.greeting().capabilities().call([&] { wakes.get_future().wait(); }).start();
    const auto began = std::chrono::steady_clock::now();
    run([&]() -> asio::awaitable<void> {
        auto timeouts = patient();
        timeouts.device_del = 20ms;
        const auto session = co_await Session::connect(peer.path(), timeouts);
        auto large =
            Command("device_add", {{"id", std::string(4u << 20, 'x')}}, CommandClass::device_del);
        try {
            co_await session->execute(std::move(large));
            ADD_FAILURE();
        } catch (const Failure& failure) {
            EXPECT_EQ(failure.code(), Errc::qmp_timeout);
        }
    });
    EXPECT_LT(std::chrono::steady_clock::now() - began, 30s);
    wakes.set_value();
    (void)peer.finish();
}
