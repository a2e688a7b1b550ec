// SPDX-License-Identifier: Apache-2.0
// From the socket to the first command: what connecting can end in, and a whole conversation.
#include "session_support.hpp"
#include "temp_dir.hpp"

#include <boost/json/serialize.hpp>

#include <sys/socket.h>
#include <sys/stat.h>
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

Timeouts greeting_within(std::chrono::milliseconds limit) {
    auto timeouts = patient();
    timeouts.greeting = limit;
    return timeouts;
}

Failure connect_failure(const std::string& path, const Timeouts& timeouts = patient()) {
    return failure_of(
        [&]() -> asio::awaitable<void> { (void)co_await Session::connect(path, timeouts); });
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

// connect(2) says ECONNREFUSED of them too, as of a socket that nobody listens on.
TEST(Session, WhatIsNoSocketIsNamedAsWhatItIs) {
    const TempDir dir;
    const auto at = [&](const char* name) { return (dir.path() / name).string(); };
    dir.write("file", "{}");
    ASSERT_EQ(::mkfifo(at("pipe").c_str(), 0600), 0);
    std::filesystem::create_symlink(at("file"), at("link"));
    const std::pair<std::string, std::string> cases[] = {{at("file"), "a regular file"},
                                                         {at("link"), "a regular file"},
                                                         {dir.path(), "a directory"},
                                                         {at("pipe"), "a pipe"},
                                                         {"/dev/null", "a device node"}};
    for (const auto& [path, what] : cases) {
        SCOPED_TRACE(path);
        const auto failure = connect_failure(path);
        EXPECT_EQ(failure.code(), Errc::not_qmp);
        EXPECT_EQ(failure.problem(), path + " is " + what + ", not a QMP socket");
        EXPECT_EQ(failure.verbatim(), "") << "the kernel's Connection refused would lead astray";
        EXPECT_THAT(failure.advice(), testing::HasSubstr("-qmp unix:PATH"));
    }
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
