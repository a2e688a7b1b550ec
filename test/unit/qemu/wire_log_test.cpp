// SPDX-License-Identifier: Apache-2.0
#include "qemu/wire_log/wire_log.hpp"

#include "qemu/wire_log/wire_reader.hpp"
#include "temp_dir.hpp"
#include "test/fixtures/fake_qmp/fake_machine.hpp"
#include "test/fixtures/fake_qmp/fake_qmp.hpp"
#include "test/fixtures/fake_qmp/replay_peer.hpp"
#include "test/fixtures/fake_qmp/run.hpp"

#include <boost/json/serialize.hpp>
#include <gmock/gmock.h>

#include <sys/resource.h>

#include <csignal>

using namespace kata_vfio;
using namespace kata_vfio::qemu;
using testing::ElementsAre;
using testing::HasSubstr;
namespace asio = boost::asio;
namespace json = boost::json;

namespace {

using Kind = WireRecord::Kind;
using None = std::vector<std::string>;

struct WireLogs : testing::Test {
    TempDir directory;
    const std::filesystem::path path = directory.path() / "wire.log";

    std::shared_ptr<WireLog> start(const WireLogOptions& options) {
        return WireLog::start(options, "/run/q.sock", [this](const Failure& failure) {
            errors.emplace_back(failure.what()); // read after the log has ended, or a flush
        });
    }
    std::vector<Kind> kinds() const {
        std::vector<Kind> out;
        for (const auto& record : read_wire_log(path).records)
            out.push_back(record.kind);
        return out;
    }
    None errors;
};

/// What a client of a machine does and gets, as text: attaches, a refusal, a detach with its event.
asio::awaitable<None> converse(std::string socket, std::shared_ptr<WireLog> log) {
    None answers, events; // apart: what comes between two answers depends on how it is cut
    const auto session = co_await connect_logged(log, socket);
    session->on_event([&](const Event& event) {
        events.push_back(event.name + " " + json::serialize(event.data));
    });
    const json::object gpu{{"driver", "vfio-pci"},
                           {"id", "gpu0"},
                           {"bus", "pci.0"},
                           {"sysfsdev", "/sys/bus/pci/devices/0000:00:02.0"}};
    std::vector<Command> commands{query_status(), device_add(gpu),    device_add(gpu),
                                  query_pci(),    device_del("gpu0"), device_del("gpu0")};
    for (auto& command : commands) {
        try {
            auto next = command;
            const auto value = co_await session->execute(std::move(next));
            answers.push_back(json::serialize(value));
        } catch (const Failure& failure) {
            answers.emplace_back(failure.what());
        }
    }
    answers.insert(answers.end(), events.begin(), events.end());
    co_return answers;
}

} // namespace

TEST_F(WireLogs, RecordsASessionAndReplaysItToTheSameAnswers) {
    None answers;
    {
        fake::FakeMachine machine;
        answers = fake::run([&] { return converse(machine.path(), start(WireLogOptions(path))); });
    }
    ASSERT_GE(answers.size(), 8u);
    EXPECT_THAT(answers, testing::Contains(HasSubstr("Duplicate device ID 'gpu0'")));
    EXPECT_THAT(answers, testing::Contains(HasSubstr("DEVICE_DELETED")));
    EXPECT_EQ(errors, None{});

    const auto history = read_wire_log(path);
    EXPECT_EQ(history.problems, None{});
    ASSERT_FALSE(history.records.empty());
    EXPECT_EQ(history.records.front().kind, Kind::connect);
    EXPECT_EQ(history.records.front().why, "/run/q.sock");
    EXPECT_EQ(history.records.back().kind, Kind::closed);
    for (std::size_t i = 1; i < history.records.size(); ++i)
        EXPECT_LE(history.records[i - 1].us, history.records[i].us);

    fake::ReplayPeer peer(history.records);
    const auto again = fake::run([&] { return converse(peer.path(), nullptr); });
    EXPECT_EQ(again, answers);
    EXPECT_EQ(peer.finish(), None{});
}

TEST_F(WireLogs, AReplayThatDiffersSaysWhatWasExpectedAndWhatCame) {
    {
        fake::FakeMachine machine;
        (void)fake::run([&] { return converse(machine.path(), start(WireLogOptions(path))); });
    }
    fake::ReplayPeer peer(read_wire_log(path).records);
    const auto failure = fake::failure_of([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(peer.path());
        auto command = device_del("other");
        co_await session->execute(std::move(command));
    });
    EXPECT_EQ(failure.code(), Errc::qemu_gone);
    EXPECT_THAT(peer.finish(),
                ElementsAre("expected {\"execute\":\"query-status\"} (wire.log:6), got "
                            "{\"execute\":\"device_del\",\"arguments\":{\"id\":\"other\"}}"));
}

TEST_F(WireLogs, ALostConnectionIsOnRecordWithWhatWasTorn) {
    fake::FakeQmp script;
    script.greeting().capabilities().expect("query-status").raw("{\"return\": {\"sta").close();
    script.start();
    fake::run([&]() -> asio::awaitable<void> {
        const auto log = start(WireLogOptions(path));
        const auto session = co_await connect_logged(log, script.path());
        session->on_lost([log](const Failure& why) { log->lost(why); });
        try {
            auto command = query_status();
            co_await session->execute(std::move(command));
            ADD_FAILURE();
        } catch (const Failure&) {
        }
    });
    EXPECT_EQ(script.finish(), None{});
    const auto records = read_wire_log(path).records;
    ASSERT_GE(records.size(), 2u);
    EXPECT_EQ(records[records.size() - 2].kind, Kind::torn);
    EXPECT_EQ(records[records.size() - 2].text, "{\"return\": {\"sta");
    EXPECT_EQ(records.back().kind, Kind::lost);
    EXPECT_THAT(records.back().why, HasSubstr("QEMU closed the connection"));

    fake::ReplayPeer peer(records);
    const auto failure = fake::failure_of([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(peer.path());
        auto command = query_status();
        co_await session->execute(std::move(command));
    });
    EXPECT_EQ(failure.code(), Errc::qemu_gone);
    EXPECT_EQ(peer.finish(), None{});
}

TEST_F(WireLogs, AFailedConnectIsOnRecord) {
    EXPECT_EQ(fake::failure_of([&]() -> asio::awaitable<void> {
                  (void)co_await connect_logged(start(WireLogOptions(path)), "/nowhere.sock");
              }).code(),
              Errc::monitor_missing);
    EXPECT_THAT(kinds(), ElementsAre(Kind::connect, Kind::lost));
    EXPECT_THAT(read_wire_log(path).records[1].why, HasSubstr("/nowhere.sock"));
}

TEST_F(WireLogs, WhatComesWhileItWritesIsWrittenToo) {
    const auto log = start(WireLogOptions(path));
    const auto tap = log->tap();
    for (int round = 0; round < 300; ++round) {
        for (int i = 0; i < 20; ++i)
            tap(WireDirection::received, "{\"a\":\"" + std::string(200, 'x') + "\"}\r\n");
        if (round % 10 == 0)
            log->flush(); // its thread then works at other points of the next rounds
    }
    log->flush();
    EXPECT_EQ(log->counters().lines, 300u * 20 + 1) << "and the connect";
    EXPECT_EQ(log->counters().dropped_bytes, 0u);
}

TEST_F(WireLogs, ConnectionsAreNumberedAcrossLogs) {
    for (int i = 0; i < 3; ++i)
        start(WireLogOptions(path)).reset();
    const auto records = read_wire_log(path).records;
    ASSERT_EQ(records.size(), 6u);
    for (std::size_t i = 0; i < records.size(); ++i)
        EXPECT_EQ(records[i].connection, i / 2 + 1);
}

TEST_F(WireLogs, WaitsForTheDirectoryAndLeavesNothingWithoutIt) {
    const auto later = directory.path() / "sandbox";
    {
        const auto log = start(WireLogOptions(later / "wire.log"));
        log->tap()(WireDirection::received, "{\"a\":1}\r\n");
        log->flush();
        EXPECT_EQ(log->counters().lines, 0u);
    }
    EXPECT_FALSE(std::filesystem::exists(later));
    {
        const auto log = start(WireLogOptions(later / "wire.log"));
        log->tap()(WireDirection::received, "{\"a\":1}\r\n");
        std::filesystem::create_directory(later);
    }
    EXPECT_EQ(read_wire_log(later / "wire.log").records.size(), 3u);
    EXPECT_EQ(errors, None{});
}

TEST_F(WireLogs, MoreThanTheQueueTakesIsAGapInTheLog) {
    // Without its directory nothing leaves the queue: full by construction, not by luck.
    const auto later = directory.path() / "sandbox";
    WireLogOptions options(later / "wire.log");
    options.max_queued = 64;
    {
        const auto log = start(options);
        const auto tap = log->tap();
        tap(WireDirection::received, "{\"a\":1}\r\n{\"cut\":[");
        tap(WireDirection::received, "\"" + std::string(100, 'x') + "\"");
        tap(WireDirection::received, "],\"b\":{}}\r\n{\"c\":3}\r\n");
        EXPECT_EQ(log->counters().dropped_bytes, 102u);
        std::filesystem::create_directory(later);
    }
    const auto records = read_wire_log(later / "wire.log").records;
    ASSERT_EQ(records.size(), 5u);
    EXPECT_EQ(records[1].text, "{\"a\":1}");
    EXPECT_EQ(records[2].kind, Kind::gap);
    EXPECT_EQ(records[2].bytes, 102u);
    EXPECT_EQ(records[3].text, "{\"c\":3}");
    EXPECT_EQ(errors, None{});
}

TEST_F(WireLogs, AFullDiskIsToldOnceAndHurtsNoCommand) {
    // A limit on file sizes is a disk that gets full, without a file system to fill.
    struct rlimit before {};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    auto limited = before;
    limited.rlim_cur = 700;
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limited), 0);
    None answers;
    WireLog::Counters counters;
    {
        fake::FakeMachine machine;
        const auto log = start(WireLogOptions(path));
        answers = fake::run([&] { return converse(machine.path(), log); });
        log->flush();
        counters = log->counters();
    }
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
    std::signal(SIGXFSZ, handler);

    EXPECT_THAT(answers, testing::Contains(HasSubstr("DEVICE_DELETED"))) << "all went on";
    ASSERT_EQ(errors.size(), 1u);
    EXPECT_THAT(errors[0],
                HasSubstr("can't write the QMP log " + path.string() + ": File too large"));
    EXPECT_THAT(errors[0], HasSubstr("nothing more of this connection is logged"));
    EXPECT_EQ(counters.errors, 1u);
    EXPECT_GT(counters.dropped_bytes, 0u);
    const auto cut = read_wire_log(path);
    EXPECT_THAT(cut.problems, ElementsAre(HasSubstr("the last line is cut off")));

    start(WireLogOptions(path)).reset(); // with room again the next connection is logged
    EXPECT_EQ(read_wire_log(path).records.size(), cut.records.size() + 2);
    EXPECT_EQ(errors.size(), 1u);
}
