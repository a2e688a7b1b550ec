// SPDX-License-Identifier: Apache-2.0
// Qmp's streams: their ends, how many of them, and what a client that does not read costs.
#include "test/service/cli_world.hpp"

#include <boost/json.hpp>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <future>

namespace kata_vfio::service_test {
namespace {

namespace json = boost::json;

struct Listening {
    explicit Listening(Client& client) {
        v1::EventsRequest request;
        request.set_sandbox("sb1");
        reader = client.qmp->Events(&context, request);
    }
    ~Listening() {
        context.TryCancel();
        if (!ended)
            (void)end();
    }
    /// "": the stream has ended.
    std::string next() {
        v1::EventsResponse response;
        if (!reader->Read(&response))
            return {};
        return response.has_connected() ? "connected" : response.event_json();
    }
    grpc::Status end() {
        while (!next().empty())
            ++rest;
        ended = true;
        return reader->Finish();
    }
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<v1::EventsResponse>> reader;
    bool ended = false;
    int rest = 0; ///< messages that end() has read
};

class Streams : public Cli {
  protected:
    void SetUp() override {
        configure("", "qmp_proxy = \"read-only\"\nqmp_log = true");
        start_with_sandbox();
    }
    /// Emits so many events, each when `quick` has had the one a few hundred before it; returns
    /// when it has had them all.
    void emit_many(int number, Listening& quick, std::size_t padding = 0) {
        constexpr int ahead = 256;
        const std::string path = "/machine/" + std::string(padding, 'p');
        for (int i = 0; i < number + ahead; ++i) {
            if (i < number)
                machine->emit("RTC_CHANGE", {{"offset", i}, {"qom-path", path}});
            if (i >= ahead) {
                ASSERT_NE(quick.next(), "") << i;
            }
        }
    }
};

TEST_F(Streams, OneClientMoreThanTheProxyHasPlacesFor) {
    std::vector<std::unique_ptr<Listening>> all;
    for (int i = 0; i < 16; ++i)
        ASSERT_EQ(all.emplace_back(std::make_unique<Listening>(*client))->next(), "connected");
    Listening one_more(*client);
    const auto status = one_more.end();
    EXPECT_EQ(reason(status), "monitor_busy") << text(status);
    EXPECT_NE(status.error_message().find("serves 16 clients at most"), std::string::npos)
        << text(status);
    v1::ExecuteRequest request;
    request.set_sandbox("sb1");
    request.set_command("query-status");
    v1::ExecuteResponse response;
    grpc::ClientContext context;
    EXPECT_EQ(reason(client->qmp->Execute(&context, request, &response)), "monitor_busy");
}

TEST_F(Streams, TheLastEventBeforeQemusEndIsTold) {
    Listening listening(*client);
    ASSERT_EQ(listening.next(), "connected");
    machine->emit("RTC_CHANGE", {{"offset", 7}});
    machine->kill();
    EXPECT_NE(listening.next(), "");
    EXPECT_EQ(reason(listening.end()), "qemu_gone");
}

TEST_F(Streams, OfEventsAClientThatDoesNotReadIsCutAndHoldsUpNobody) {
    Client sleeper(address(), 16384);
    Listening slow(sleeper), quick(*client);
    ASSERT_EQ(slow.next(), "connected");
    ASSERT_EQ(quick.next(), "connected");
    constexpr int rounds = 3 * 4096;
    emit_many(rounds, quick);
    const auto status = slow.end();
    EXPECT_EQ(reason(status), "watcher_too_slow") << text(status);
    EXPECT_LT(slow.rest, rounds / 2);
}

/// kata-vfio takes no more of the stream than it can hand on.
TEST_F(Streams, ACommandWhoseOutputNobodyReadsIsCutToo) {
    machine->answer_with("query-version", json::object{{"package", "fake"}});
    int output[2];
    ASSERT_EQ(::pipe(output), 0);
    const auto err = (directory / "err").string();
    const auto line =
        "exec env " + command({"--json", "events", "sb1", "--follow"}, true) + " 2>" + err;
    const auto asked = machine->count("query-version");
    const pid_t child = ::fork();
    if (child == 0) {
        ::dup2(output[1], STDOUT_FILENO);
        ::close(output[0]);
        ::close(output[1]);
        ::execl("/bin/sh", "sh", "-c", line.c_str(), nullptr);
        ::_exit(127);
    }
    ::close(output[1]);
    machine->wait_count("query-version", asked + 1); // it listens
    Listening quick(*client);
    ASSERT_EQ(quick.next(), "connected");
    // 48 MB: gRPC itself takes up to 16 for a client, and the daemon lets as much wait.
    constexpr int rounds = 6000;
    emit_many(rounds, quick, 8192);
    std::size_t bytes = 0, lines = 0;
    std::array<char, 65536> buffer;
    for (ssize_t n; (n = ::read(output[0], buffer.data(), buffer.size())) > 0;) {
        bytes += static_cast<std::size_t>(n);
        lines += static_cast<std::size_t>(std::count(buffer.data(), buffer.data() + n, '\n'));
        if (lines >= static_cast<std::size_t>(rounds))
            ::kill(child, SIGINT); // it has taken all of them: the test has failed
    }
    ::close(output[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    std::ifstream in(err);
    const std::string told(std::istreambuf_iterator<char>(in), {});
    EXPECT_EQ(WEXITSTATUS(status), 4) << told;
    EXPECT_NE(told.find("events of"), std::string::npos) << told;
    EXPECT_LT(lines, static_cast<std::size_t>(rounds)) << bytes;
}

/// Stopped in the middle of a stream, and then killed: neither takes anything from the others.
TEST_F(Streams, ADeadWatcherDelaysNobody) {
    const auto line = "exec env " + command({"events", "sb1", "--follow"}, true);
    machine->answer_with("query-version", json::object{{"package", "fake"}});
    const auto asked = machine->count("query-version");
    const pid_t child = ::fork();
    if (child == 0) {
        ::execl("/bin/sh", "sh", "-c", (line + " >/dev/null 2>&1").c_str(), nullptr);
        ::_exit(127);
    }
    machine->wait_count("query-version", asked + 1);
    ::kill(child, SIGSTOP);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, WUNTRACED), child);
    ASSERT_TRUE(WIFSTOPPED(status));
    Listening quick(*client);
    ASSERT_EQ(quick.next(), "connected");
    grpc::ClientContext watching;
    const auto watch = client->sandboxes->Watch(&watching, {});
    v1::WatchResponse response;
    ASSERT_TRUE(watch->Read(&response));
    emit_many(2 * 4096, quick);
    const auto serves = [&] {
        ASSERT_TRUE(attach(type8, uuid_a).ok());
        ASSERT_TRUE(detach(uuid_a).ok());
        for (const auto kind : {v1::Event::KIND_DEVICE_ATTACHED, v1::Event::KIND_DEVICE_DETACHED}) {
            ASSERT_TRUE(watch->Read(&response));
            EXPECT_EQ(response.event().kind(), kind);
        }
    };
    serves();
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
    serves();
    watching.TryCancel();
    while (watch->Read(&response))
        ;
    (void)watch->Finish();
}

TEST_F(Streams, ATraceThatIsFollowedEndsWithTheSandbox) {
    v1::TraceRequest request;
    request.set_sandbox("sb1");
    request.set_follow(true);
    grpc::ClientContext context;
    const auto stream = client->qmp->Trace(&context, request);
    v1::TraceRecord record;
    ASSERT_TRUE(stream->Read(&record));
    EXPECT_EQ(record.kind(), v1::TraceRecord::KIND_CONNECT);
    v1::ReleaseRequest release;
    release.set_sandbox("sb1");
    v1::ReleaseResponse released;
    grpc::ClientContext releasing;
    ASSERT_TRUE(client->sandboxes->Release(&releasing, release, &released).ok());
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    auto last = record.kind();
    while (stream->Read(&record))
        last = record.kind();
    const auto status = stream->Finish();
    EXPECT_TRUE(status.ok()) << text(status);
    EXPECT_EQ(last, v1::TraceRecord::KIND_CLOSED);
}

/// More than gRPC's clients take unasked; QEMU may say 16 MiB at once.
TEST_F(Streams, WhatQemuSaysAtLength) {
    constexpr std::size_t size = 9u << 20;
    machine->answer_with("query-name", json::object{{"name", std::string(size, 'n')}});
    const auto printed = run({"qmp", "sb1", "query-name"}, true);
    EXPECT_EQ(printed.status, 0) << printed.err;
    EXPECT_GT(printed.out.size(), size);
    const auto traced = run({"--json", "trace", "sb1"}, true);
    EXPECT_EQ(traced.status, 0) << traced.err;
    machine->answer_with("query-version", json::object{{"package", "fake"}});
    const auto asked = machine->count("query-version");
    auto listening = std::async(std::launch::async, [&] {
        return run({"--json", "events", "sb1"}, true);
    });
    machine->wait_count("query-version", asked + 1);
    machine->emit("RTC_CHANGE",
                  {{"offset", std::string(3u << 20, 'x') + std::string(2u << 20, 'y')}});
    const auto told = listening.get();
    EXPECT_EQ(told.status, 0) << told.err;
    EXPECT_GT(told.out.size(), 5u << 20);
}

TEST_F(Streams, ArgumentsMayNestAsDeepAsTheProxyTakesThem) {
    machine->answer_with("query-name", json::object{});
    std::string deep = "1";
    for (int i = 0; i < 50; ++i)
        deep = "[" + deep + "]";
    for (const bool by_daemon : {false, true}) {
        const auto printed = run({"qmp", "sb1", "query-name", "a=" + deep}, by_daemon);
        EXPECT_EQ(printed.status, 0) << by_daemon << printed.err;
    }
}

} // namespace
} // namespace kata_vfio::service_test
