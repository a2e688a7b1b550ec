// SPDX-License-Identifier: Apache-2.0
// Commands of a session that runs: matched, timed out, cancelled, answered by nonsense.
#include "session_support.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>

using namespace kata_vfio;
using namespace kata_vfio::qemu;
using namespace std::chrono_literals;
using fake::FakeQmp;
using fake::run;
namespace asio = boost::asio;
namespace json = boost::json;

TEST(Session, TimeoutPoisonsNothingAndTheLateReplyIsDropped) {
    FakeQmp peer;
    peer.greeting()
        .capabilities()
        .expect("query-pci")
        .expect("query-status")
        .reply_to("query-pci", "late")
        .reply("mine")
        .expect_hangup()
        .start();
    run([&]() -> asio::awaitable<void> {
        auto timeouts = patient();
        timeouts.query = 30ms;
        const auto session = co_await Session::connect(peer.path(), timeouts);
        try {
            auto first = query_pci();
            co_await session->execute(std::move(first));
            ADD_FAILURE();
        } catch (const Failure& failure) {
            expect_text(failure, Errc::qmp_timeout, "QEMU did not answer query-pci within 30 ms");
        }
        auto second = Command("query-status", {}, CommandClass::device_add);
        EXPECT_EQ(co_await session->execute(std::move(second)), "mine");
        EXPECT_EQ(session->counters().late, 1u);
        EXPECT_EQ(session->counters().unknown, 0u);
        EXPECT_TRUE(session->running());
    });
    EXPECT_EQ(peer.finish(), None{});
}

TEST(Session, StrangeMessagesCostOneCommandAtMost) {
    FakeQmp peer;
    peer.greeting()
        .capabilities()
        .expect("query-version")
        .reply()
        .raw("{\"return\": 1, \"id\": 99}\r\n{\"return\": 2, \"id\": \"x\"}\r\n{\"return\": 3}\r\n")
        .error_without_id("JSON parse error, stray")
        .raw("{\"event\": \"FROM_THE_FUTURE\", \"data\": [1]}\r\n")
        .expect("query-status")
        .raw("{\"return\": {}, \"id\": inf}\r\n")
        .expect("query-status")
        .raw("{\"return\": " + std::string(2000, '[') + std::string(2000, ']') + ", \"id\": 3}\r\n")
        .expect("query-status")
        .raw("{\"return\": \"" + std::string(5000, 'x') + "\", \"id\": 4}\r\n")
        .expect("query-status")
        .reply("well")
        .expect_hangup()
        .start();
    run([&]() -> asio::awaitable<void> {
        const FrameLimits limits(4500, 1024);
        const auto session = co_await Session::connect(peer.path(), patient(), nullptr, limits);
        // Nothing may be in flight while the error without an id arrives: the event says that it
        // has.
        auto waiter = session->arm([](const Event& e) { return e.name == "FROM_THE_FUTURE"; });
        auto first = Command("query-version");
        co_await session->execute(std::move(first));
        const auto deadline = std::chrono::steady_clock::now() + 30s;
        const auto event = co_await waiter.wait_until(deadline);
        EXPECT_TRUE(event);
        for (const char* why :
             {"not JSON", "nested deeper than our limit", "longer than our limit"}) {
            try {
                auto command = query_status();
                co_await session->execute(std::move(command));
                ADD_FAILURE() << why;
            } catch (const Failure& failure) {
                expect_text(failure, Errc::qmp_protocol,
                            "the answer to query-status is unusable: " + std::string(why));
            }
        }
        auto command = query_status();
        EXPECT_EQ(co_await session->execute(std::move(command)), "well");
        EXPECT_EQ(session->counters().unknown, 3u);
        EXPECT_EQ(session->counters().orphans, 1u);
        EXPECT_EQ(session->counters().bad, 3u);
    });
    EXPECT_EQ(peer.finish(), None{});
}

TEST(Session, LargeReplyArrivesWhole) {
    const std::string big(300'000, 'x');
    FakeQmp peer;
    peer.greeting()
        .capabilities()
        .expect("query-status")
        .reply(json::value(big))
        .expect_hangup()
        .start();
    run([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(peer.path(), patient());
        auto command = query_status();
        EXPECT_EQ(co_await session->execute(std::move(command)), json::value(big));
    });
    EXPECT_EQ(peer.finish(), None{});
}

TEST(Session, CommandsInFlightAreMatchedByIdAndCappedAtEight) {
    FakeQmp peer;
    peer.greeting().capabilities();
    for (int i = 0; i < 8; ++i)
        peer.expect("c" + std::to_string(i));
    for (int i = 7; i >= 0; --i)
        peer.reply_to("c" + std::to_string(i), i);
    for (int i = 8; i < 12; ++i)
        peer.expect("c" + std::to_string(i)).reply(i);
    peer.expect_hangup().start();
    int answered = 0;
    run([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(peer.path(), patient());
        const auto executor = co_await asio::this_coro::executor;
        for (int i = 0; i < 12; ++i) {
            auto one = [](std::shared_ptr<Session> s, int n, int& count) -> asio::awaitable<void> {
                auto command = Command("c" + std::to_string(n));
                const auto value = co_await s->execute(std::move(command));
                EXPECT_EQ(value, json::value(n));
                ++count;
            };
            asio::co_spawn(executor, one(session, i, answered), asio::detached);
        }
    });
    EXPECT_EQ(answered, 12);
    EXPECT_EQ(peer.finish(), None{});
}

TEST(Session, CancelAbandonsOneCommandOnly) {
    FakeQmp peer;
    asio::cancellation_signal cancel;
    asio::io_context loop(1);
    peer.greeting()
        .capabilities()
        .expect("query-pci")
        .call([&] { asio::post(loop, [&] { cancel.emit(asio::cancellation_type::terminal); }); })
        .expect("query-status")
        .reply_to("query-pci", "late")
        .reply("mine")
        .expect_hangup()
        .start();
    std::exception_ptr error;
    auto body = [&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(peer.path(), patient());
        auto doomed = [](std::shared_ptr<Session> s) -> asio::awaitable<void> {
            auto command = query_pci();
            co_await s->execute(std::move(command));
        };
        const auto executor = co_await asio::this_coro::executor;
        // The command that follows the cancelled one, on the same session.
        auto next = [](std::shared_ptr<Session> s) -> asio::awaitable<void> {
            auto command = query_status();
            EXPECT_EQ(co_await s->execute(std::move(command)), "mine");
            EXPECT_EQ(s->counters().late, 1u);
        };
        asio::co_spawn(executor, doomed(session),
                       asio::bind_cancellation_slot(
                           cancel.slot(), [&error, executor, next, session](std::exception_ptr e) {
                               error = e;
                               asio::co_spawn(executor, next(session), asio::detached);
                           }));
    };
    asio::co_spawn(loop, body(), [](std::exception_ptr e) { EXPECT_FALSE(e); });
    loop.run();
    ASSERT_TRUE(error);
    EXPECT_EQ(code_of(error), Errc::cancelled);
    EXPECT_EQ(peer.finish(), None{});
}

// A cancellation that came while nothing was awaited must not be forgotten.
TEST(Session, WhatIsBegunAfterTheCancellationEndsAtOnceAndSendsNothing) {
    FakeQmp peer;
    peer.greeting().capabilities().expect("query-status").reply("known").expect_hangup().start();
    asio::io_context loop(1);
    asio::cancellation_signal cancel;
    std::exception_ptr error;
    auto body = [&]() -> asio::awaitable<void> {
        co_await asio::this_coro::throw_if_cancelled(false);
        const auto session = co_await Session::connect(peer.path(), patient());
        auto waiter = session->arm([](const Event&) { return true; });
        cancel.emit(asio::cancellation_type::terminal);
        try {
            auto command = query_pci();
            co_await session->execute(std::move(command));
            ADD_FAILURE();
        } catch (const Failure& failure) {
            EXPECT_STREQ(failure.what(), "query-pci was cancelled");
        }
        const auto deadline = std::chrono::steady_clock::now() + 30s;
        try {
            (void)co_await waiter.wait_until(deadline);
            ADD_FAILURE();
        } catch (const Failure& failure) {
            EXPECT_STREQ(failure.what(), "waiting for QEMU's event was cancelled");
            EXPECT_LT(std::chrono::steady_clock::now(), deadline) << "waited it out";
        }
        // What has to be known is still asked, and an event that has to come still waited for.
        auto command = query_status();
        const auto value = co_await session->execute(std::move(command), OnCancel::finish);
        EXPECT_EQ(value, "known");
        const auto soon = std::chrono::steady_clock::now() + 20ms;
        const auto none = co_await waiter.wait_until(soon, OnCancel::finish);
        EXPECT_FALSE(none);
    };
    asio::co_spawn(
        loop, body(),
        asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr e) { error = e; }));
    loop.run();
    EXPECT_EQ(code_of(error), Errc::ok);
    EXPECT_EQ(peer.finish(), None{});
}
