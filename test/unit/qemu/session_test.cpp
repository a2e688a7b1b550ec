// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/session.hpp"

#include "qemu/qmp/error.hpp"
#include "test/fixtures/fake_qmp/fake_machine.hpp"
#include "test/fixtures/fake_qmp/fake_qmp.hpp"
#include "test/fixtures/fake_qmp/run.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/json/serialize.hpp>
#include <gtest/gtest.h>

#include <sys/socket.h>
#include <sys/un.h>

using namespace kata_vfio;
using namespace kata_vfio::qemu;
using namespace std::chrono_literals;
using fake::Delivery;
using fake::failure_of;
using fake::FakeQmp;
using fake::run;
namespace asio = boost::asio;
namespace json = boost::json;

namespace {

using None = std::vector<std::string>;

/// Nothing times out but what a test shortens.
Timeouts patient() {
    Timeouts timeouts;
    timeouts.greeting = timeouts.query = timeouts.device_add = timeouts.device_del = 30s;
    return timeouts;
}

Timeouts greeting_within(std::chrono::milliseconds limit) {
    auto timeouts = patient();
    timeouts.greeting = limit;
    return timeouts;
}

Failure connect_failure(const std::string& path, const Timeouts& timeouts = patient()) {
    return failure_of(
        [&]() -> asio::awaitable<void> { (void)co_await Session::connect(path, timeouts); });
}

void expect_text(const Failure& failure, Errc code, const std::string& text) {
    EXPECT_EQ(name(failure.code()), name(code));
    EXPECT_NE(std::string(failure.what()).find(text), std::string::npos) << failure.what();
}

class Deliveries : public testing::TestWithParam<Delivery> {};
INSTANTIATE_TEST_SUITE_P(Session, Deliveries,
                         testing::Values(Delivery::as_is, Delivery::byte_by_byte,
                                         Delivery::coalesced),
                         testing::PrintToStringParamName());

} // namespace

TEST_P(Deliveries, WholeConversation) {
    FakeQmp peer(GetParam());
    peer.event("VSERPORT_CHANGE", {{"id", "a"}})
        .greeting()
        .event("RESUME")
        .capabilities()
        .event("RTC_CHANGE", {{"offset", 3}})
        .expect("query-status")
        .event("STOP")
        .reply({{"status", "paused"}})
        .expect("device_add", {{"id", "gpu0"}})
        .error("GenericError", "Duplicate device ID 'gpu0'")
        .expect("query-pci")
        .raw("{\r\n    \"return\": [\r\n        \"}\"\r\n    ],\n \"id\": 3}")
        .expect_hangup();
    peer.start();
    std::string wire;
    const json::object arguments{{"driver", "vfio-pci"}, {"id", "gpu0"}};
    run([&]() -> asio::awaitable<void> {
        const WireTap tap = [&](WireDirection direction, std::string_view bytes) {
            if (direction == WireDirection::sent)
                wire += bytes;
        };
        const auto session = co_await Session::connect(peer.path(), patient(), tap);
        EXPECT_TRUE(session->running());
        EXPECT_EQ(session->greeting().version(), "7.2.22 (fake)");
        EXPECT_EQ(session->where(), peer.path());
        std::vector<std::string> events;
        session->on_event([&](const Event& event) { events.push_back(event.name); });

        auto query = query_status();
        const auto status = co_await session->execute(std::move(query));
        EXPECT_EQ(status.at("status"), "paused");
        EXPECT_EQ(events.back(), "STOP");
        try {
            auto command = device_add(arguments);
            co_await session->execute(std::move(command));
            ADD_FAILURE();
        } catch (const QmpFailure& failure) {
            EXPECT_EQ(failure.code(), Errc::already_attached);
            EXPECT_EQ(failure.error_class(), "GenericError");
            EXPECT_EQ(failure.verbatim(), "Duplicate device ID 'gpu0'");
        }
        auto pci = query_pci();
        const auto answer = co_await session->execute(std::move(pci));
        EXPECT_EQ(json::serialize(answer), "[\"}\"]");
    });
    EXPECT_EQ(peer.finish(), None{});
    EXPECT_EQ(wire, "{\"execute\":\"qmp_capabilities\",\"id\":0}\n"
                    "{\"execute\":\"query-status\",\"id\":1}\n"
                    "{\"execute\":\"device_add\",\"arguments\":{\"driver\":\"vfio-pci\",\"id\":"
                    "\"gpu0\"},\"id\":2}\n"
                    "{\"execute\":\"query-pci\",\"id\":3}\n");
}

TEST_P(Deliveries, ACutAnywhereIsQemuGoneAndNothingHangs) {
    const auto script = [](FakeQmp& peer) -> FakeQmp& {
        return peer.greeting()
            .capabilities()
            .event("STOP")
            .expect("query-status")
            .reply()
            .expect_hangup();
    };
    FakeQmp whole;
    const auto steps = script(whole).steps();
    for (std::size_t cut = 0; cut + 1 < steps; ++cut) {
        SCOPED_TRACE(cut);
        FakeQmp peer(GetParam());
        script(peer).inject(cut, fake::Fault::eof).start();
        const auto failure = failure_of([&]() -> asio::awaitable<void> {
            const auto session = co_await Session::connect(peer.path(), patient());
            auto command = query_status();
            co_await session->execute(std::move(command));
            ADD_FAILURE() << "answered in spite of the cut";
        });
        expect_text(failure, Errc::qemu_gone, "QEMU closed the connection on " + peer.path());
        EXPECT_EQ(peer.finish(), None{});
    }
}

TEST(Session, MissingRefusedAndNoSocket) {
    const auto dir = testing::TempDir() + "kv-session-" + std::to_string(::getpid());
    expect_text(connect_failure(dir + "/none"), Errc::monitor_missing, "there is no QMP socket");
    expect_text(connect_failure(dir + std::string(120, 'x')), Errc::invalid_argument,
                "longer than the 107 bytes");
    // A socket file whose owner is gone.
    std::string path;
    {
        fake::PeerSocket socket;
        path = socket.path();
        socket.close_listener();
        expect_text(connect_failure(path), Errc::monitor_refused, "nobody listens on");
    }
    expect_text(connect_failure(path), Errc::monitor_missing, "No such file or directory");
}

// The AF_UNIX trap: non-blocking connect(2) fails with EAGAIN, which Asio 1.81 makes a success.
TEST(Session, FullBacklogIsABusyMonitor) {
    fake::PeerSocket socket(1);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, socket.path().c_str());
    std::vector<UniqueFd> waiting;
    for (;;) {
        UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
            ASSERT_EQ(errno, EAGAIN);
            break;
        }
        waiting.push_back(std::move(fd));
    }
    EXPECT_EQ(waiting.size(), 2u);
    const auto failure = connect_failure(socket.path());
    expect_text(failure, Errc::monitor_busy, "is busy (blocked by another client");
}

TEST(Session, SilentPeerIsABusyMonitor) {
    FakeQmp peer;
    peer.expect_hangup().start();
    const auto failure = connect_failure(peer.path(), greeting_within(30ms));
    expect_text(failure, Errc::monitor_busy,
                "but no greeting within 30 ms (blocked by another client holds the monitor, or "
                "QEMU hangs)");
    EXPECT_EQ(peer.finish(), None{});
}

TEST(Session, WhatIsNoQmpIsQuoted) {
    const std::pair<const char*, const char*> cases[] = {
        {"HTTP/1.1 400 Bad Request\r\n\r\n", "'HTTP/1.1 400 Bad Request\\x0d'"},
        {"QEMU 7.2.22 monitor - type 'help' for more information\r\n(qemu) ",
         "'QEMU 7.2.22 monitor - type 'help'"},
        {"{\"jsonrpc\": \"2.0\"}", "'{\"jsonrpc\": \"2.0\"}'"},
        {"[1, 2]\n", "'[1, 2]'"},
        {"\x00\x01\xff", "''"},
    };
    for (const auto& [bytes, text] : cases) {
        SCOPED_TRACE(bytes);
        FakeQmp peer;
        peer.raw(bytes[0] ? std::string(bytes) : std::string("\x00\x01\xff", 3))
            .expect_hangup()
            .start();
        const auto failure = connect_failure(peer.path());
        expect_text(failure, Errc::not_qmp,
                    "does not speak QMP: instead of a greeting it sent " +
                        (bytes[0] ? std::string(text) : std::string("'\\x00\\x01\\xff'")));
        EXPECT_EQ(peer.finish(), None{});
    }
}

TEST(Session, HalfAGreetingThenSilence) {
    FakeQmp peer;
    peer.raw("{\"QMP\": {\"version\"").expect_hangup().start();
    expect_text(connect_failure(peer.path(), greeting_within(30ms)), Errc::not_qmp,
                "'{\"QMP\": {\"version\"'");
    peer.finish();
}

TEST(Session, HalfAMessageThenEnd) {
    FakeQmp peer;
    peer.greeting()
        .capabilities()
        .expect("query-status")
        .raw("{\"return\": {\"sta")
        .close()
        .start();
    const auto failure = failure_of([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(peer.path(), patient());
        auto command = query_status();
        co_await session->execute(std::move(command));
    });
    expect_text(failure, Errc::qemu_gone, "in the middle of '{\"return\": {\"sta'");
    EXPECT_EQ(failure.action(), "query-status");
    EXPECT_EQ(peer.finish(), None{});
}

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
