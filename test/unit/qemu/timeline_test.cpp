// SPDX-License-Identifier: Apache-2.0
#include "qemu/wire_log/timeline.hpp"

#include "qemu/wire_log/wire_reader.hpp"

#include <gmock/gmock.h>

using namespace kata_vfio::qemu;
using testing::ElementsAre;
using testing::IsEmpty;

namespace {

using Outcome = Exchange::Outcome;

/// Records as a log would have them, a line each; times in microseconds.
class Log {
  public:
    explicit Log(std::uint64_t connection = 1) : connection_(connection) {}

    Log& connection(std::uint64_t number) {
        connection_ = number;
        return *this;
    }
    Log& sent(std::int64_t us, const std::string& message) {
        return add(us, "\"sent\",\"message\":" + message);
    }
    Log& received(std::int64_t us, const std::string& message) {
        return add(us, "\"received\",\"message\":" + message);
    }
    Log& event(std::int64_t us, const std::string& name, const std::string& data) {
        return received(us, "{\"event\":\"" + name + "\",\"data\":" + data + "}");
    }
    Log& add(std::int64_t us, const std::string& kind_and_more) {
        text_ += "{\"us\":" + std::to_string(us) +
                 ",\"wall_us\":0,\"conn\":" + std::to_string(connection_) +
                 ",\"kind\":" + kind_and_more + "}\n";
        return *this;
    }
    Timeline timeline(const TimelineOptions& options = {}) const {
        WireHistory history;
        add_wire_text(history, text_, "wire.log");
        EXPECT_THAT(history.problems, IsEmpty());
        return make_timeline(history.records, options);
    }

  private:
    std::uint64_t connection_;
    std::string text_;
};

std::string add_line(const std::string& id, int qmp_id) {
    return R"({"execute":"device_add","arguments":{"driver":"vfio-pci","id":")" + id +
           R"("},"id":)" + std::to_string(qmp_id) + "}";
}

std::string del_line(const std::string& id, int qmp_id) {
    return R"({"execute":"device_del","arguments":{"id":")" + id + R"("},"id":)" +
           std::to_string(qmp_id) + "}";
}

std::string ok(int id) {
    return "{\"return\":{},\"id\":" + std::to_string(id) + "}";
}

std::string refusal(int id, const std::string& desc, const std::string& cls = "GenericError") {
    return "{\"id\":" + std::to_string(id) + R"(,"error":{"class":")" + cls + R"(","desc":")" +
           desc + "\"}}";
}

std::string phases(const DeviceLane& lane) {
    std::string out;
    for (const auto& phase : lane.phases)
        out += std::string(name(phase.state)) + "@" + std::to_string(phase.from_us) + " ";
    return out;
}

std::vector<std::string> remarks(const Timeline& timeline) {
    std::vector<std::string> out;
    for (const auto& remark : timeline.remarks)
        out.push_back(std::string(name(remark.kind)) + "@" + std::to_string(remark.us) + " " +
                      remark.text);
    return out;
}

} // namespace

TEST(Timeline, AttachAndDetach) {
    const auto got =
        Log()
            .add(0, R"("connect","where":"/q")")
            .received(10, R"({"QMP":{"version":{"qemu":{"micro":22,"minor":2,"major":7},)"
                          R"("package":"d"},"capabilities":[]}})")
            .sent(20, R"({"execute":"qmp_capabilities","id":0})")
            .received(30, ok(0))
            .sent(100, add_line("gpu0", 1))
            .received(35100, ok(1))
            .sent(50000, del_line("gpu0", 2))
            .event(50050, "DEVICE_DELETED", R"({"path":"/machine/peripheral/gpu0/x"})")
            .received(50100, ok(2))
            .event(60000, "DEVICE_DELETED",
                   R"({"device":"gpu0","path":"/machine/peripheral/gpu0"})")
            .add(70000, "\"closed\"")
            .timeline();
    ASSERT_EQ(got.exchanges.size(), 3u);
    const auto& add = got.exchanges[1];
    EXPECT_EQ(add.command, "device_add");
    EXPECT_EQ(add.arguments, "driver=vfio-pci id=gpu0");
    EXPECT_EQ(add.device, "gpu0");
    EXPECT_EQ(add.latency_us(), 35000);
    EXPECT_EQ(add.outcome, Outcome::answered);
    EXPECT_THAT(add.events, IsEmpty());
    EXPECT_THAT(got.exchanges[2].events, ElementsAre(0u)) << "before its reply";
    ASSERT_EQ(got.events.size(), 2u);
    EXPECT_EQ(got.events[0].device, "") << "a child of it";
    EXPECT_EQ(got.events[1].device, "gpu0");
    ASSERT_EQ(got.lanes.size(), 1u);
    EXPECT_EQ(phases(got.lanes[0]), "plugging@100 present@35100 unplug pending@50000 gone@60000 ");
    EXPECT_EQ(got.lanes[0].phases[0].to_us, 35100);
    EXPECT_EQ(got.lanes[0].phases[3].to_us, std::nullopt);
    EXPECT_THAT(remarks(got),
                ElementsAre("connected@0 /q", "greeted@10 QEMU 7.2.22 (d)", "closed@70000 "));
    EXPECT_EQ(got.begin_us, 0);
    EXPECT_EQ(got.end_us, 70000);
}

TEST(Timeline, ASynthesisedEventIsMarkedAndCounts) {
    const auto got =
        Log()
            .event(1, "STOP", "{}")
            .add(2, R"("synthesised","message":{"event":"DEVICE_DELETED","data":{"device":"gpu0"},)"
                    R"("synthesised":true})")
            .timeline();
    ASSERT_EQ(got.events.size(), 2u);
    EXPECT_FALSE(got.events[0].synthesised);
    EXPECT_TRUE(got.events[1].synthesised);
    EXPECT_EQ(got.events[1].device, "gpu0");
    ASSERT_EQ(got.lanes.size(), 1u);
    EXPECT_EQ(phases(got.lanes[0]), "gone@2 ");
}

TEST(Timeline, RepliesFindTheirCommandByIdWhateverTheOrder) {
    const auto got = Log()
                         .sent(1, R"({"execute":"a","id":"x"})")
                         .sent(2, R"({"execute":"b","id":{"n":1}})")
                         .sent(3, R"({"execute":"c","id":1})")
                         .received(4, R"({"return":1,"id":{"n":1}})")
                         .received(5, R"({"return":1,"id":"1"})")
                         .received(6, R"({"return":1,"id":"x"})")
                         .timeline();
    EXPECT_EQ(got.exchanges[0].latency_us(), 5);
    EXPECT_EQ(got.exchanges[1].latency_us(), 2);
    EXPECT_EQ(got.exchanges[2].outcome, Outcome::unanswered);
    EXPECT_EQ(got.unanswered(), 1u);
    EXPECT_THAT(remarks(got), ElementsAre("stray@5 a reply to nothing that is out"));
}

TEST(Timeline, AnErrorWithoutIdIsTheOldestsAndSoIsATypedCommands) {
    const auto got =
        Log()
            .sent(1, R"({"execute":"a"})")
            .sent(2, R"({"execute":"b"})")
            .received(3, R"({"error":{"class":"GenericError","desc":"JSON parse error"}})")
            .received(4, R"({"return":{}})")
            .received(5, R"({"return":{}})")
            .timeline();
    EXPECT_EQ(got.exchanges[0].outcome, Outcome::refused);
    EXPECT_EQ(got.exchanges[0].desc, "JSON parse error");
    EXPECT_EQ(got.exchanges[1].latency_us(), 2);
    EXPECT_EQ(got.refused(), 1u);
    EXPECT_EQ(remarks(got).size(), 1u);
}

TEST(Timeline, ALostConnectionLeavesItsCommandsUnansweredAndIdsStartAnew) {
    const auto got =
        Log()
            .add(0, R"("connect","where":"/q")")
            .sent(10, add_line("gpu0", 1))
            .add(20, R"("torn","direction":"received","text":"{\"ret","why":"incomplete")")
            .add(20, R"("lost","why":"QEMU closed the connection")")
            .connection(2)
            .add(30, R"("connect","where":"/q")")
            .sent(40, R"({"execute":"query-status","id":1})")
            .received(50, ok(1))
            .timeline();
    EXPECT_EQ(got.exchanges[0].outcome, Outcome::unanswered);
    EXPECT_EQ(got.exchanges[1].latency_us(), 10);
    EXPECT_EQ(got.exchanges[1].connection, 2u);
    EXPECT_THAT(remarks(got), ElementsAre("connected@0 /q", "torn@20 received: {\"ret",
                                          "lost@20 QEMU closed the connection", "connected@30 /q"));
    EXPECT_EQ(phases(got.lanes[0]), "plugging@10 ") << "nobody knows what became of it";
}

TEST(Timeline, AConnectionWhoseEndWasNotWrittenEndsWithTheNext) {
    const auto got = Log()
                         .sent(10, R"({"execute":"stop","id":1})")
                         .connection(2)
                         .sent(20, R"({"execute":"cont","id":1})")
                         .received(30, ok(1))
                         .timeline();
    EXPECT_EQ(got.exchanges[0].outcome, Outcome::unanswered);
    EXPECT_EQ(got.exchanges[1].outcome, Outcome::answered);
}

TEST(Timeline, SilenceIsWhileSomethingIsWaitedFor) {
    const auto got = Log()
                         .sent(0, R"({"execute":"a","id":1})")
                         .received(100, ok(1))
                         .sent(5000000, R"({"execute":"b","id":2})")
                         .sent(5900000, R"({"execute":"c","id":3})")
                         .received(6500000, ok(2))
                         .received(7400000, ok(3))
                         .sent(8000000, R"({"execute":"d","id":4})")
                         .add(9500000, R"("lost","why":"x")")
                         .timeline();
    EXPECT_THAT(remarks(got),
                ElementsAre("silent@5000000 nothing from QEMU while b was out",
                            "silent@8000000 nothing from QEMU while d was out", "lost@9500000 x"));
    EXPECT_EQ(got.remarks[0].until_us, 6500000);
}

TEST(Timeline, GapsAndWhatIsNoMessage) {
    const auto got = Log()
                         .add(1, R"("gap","bytes":12,"why":"too slow")")
                         .add(2, R"("received","text":"HTTP","why":"not JSON")")
                         .sent(3, R"({"id":1})")
                         .received(4, "{}")
                         .received(5, "[1]")
                         .received(6, R"({"error":5,"id":1})")
                         .received(7, R"({"event":"X","data":7})")
                         .sent(8, R"({"execute":"query-pci","id":9})")
                         .received(9, R"({"error":"no","id":9})")
                         .timeline();
    EXPECT_THAT(remarks(got),
                ElementsAre("gap@1 12 bytes are not in the log: too slow",
                            "stray@2 received what is no message: not JSON",
                            "stray@3 sent what is no command: ",
                            "stray@4 received neither greeting, reply, error nor event",
                            "stray@5 received neither greeting, reply, error nor event",
                            "stray@6 a reply to nothing that is out"));
    EXPECT_EQ(got.events.size(), 1u);
}

TEST(Timeline, ADeviceThatIsMissingFromQueryPciIsGone) {
    const auto pci = [](const std::string& inner) {
        return R"({"return":[{"bus":0,"devices":[{"qdev_id":"","slot":0},)"
               R"({"qdev_id":"br","pci_bridge":{"devices":[)" +
               inner + R"(]}}]}],"id":3})";
    };
    Log log;
    log.sent(1, add_line("gpu0", 1)).received(2, ok(1));
    const std::string query = R"({"execute":"query-pci","id":3})";
    const auto there = log.sent(3, query).received(4, pci(R"({"qdev_id":"gpu0"})")).timeline();
    EXPECT_EQ(phases(there.lanes[0]), "plugging@1 present@2 ");
    const auto gone = log.sent(5, query).received(6, pci("")).timeline();
    EXPECT_EQ(phases(gone.lanes[0]), "plugging@1 present@2 gone@6 ");
    EXPECT_EQ(gone.lanes[0].phases.back().cause, "no longer in query-pci");
    ASSERT_EQ(gone.lanes.size(), 1u) << "others of the machine are no lanes";
}

TEST(DeviceLanes, RefusalsLeaveWhatWas) {
    const auto got = Log()
                         .sent(1, add_line("a", 1))
                         .received(2, refusal(1, "vfio: no"))
                         .sent(3, add_line("b", 2))
                         .received(4, ok(2))
                         .sent(5, add_line("b", 3))
                         .received(6, refusal(3, "Duplicate device ID 'b'"))
                         .sent(7, del_line("b", 4))
                         .received(8, refusal(4, "guest is busy"))
                         .sent(9, del_line("b", 5))
                         .received(10, ok(5))
                         .sent(11, del_line("b", 6))
                         .received(12, refusal(6, "Device b is already in the process of unplug"))
                         .event(13, "DEVICE_UNPLUG_GUEST_ERROR", R"({"device":"b"})")
                         .sent(14, del_line("c", 7))
                         .received(15, refusal(7, "Device 'c' not found", "DeviceNotFound"))
                         .timeline();
    ASSERT_EQ(got.lanes.size(), 3u);
    EXPECT_EQ(phases(got.lanes[0]), "plugging@1 gone@2 ");
    EXPECT_EQ(got.lanes[0].phases[1].cause, "device_add refused: vfio: no");
    EXPECT_EQ(phases(got.lanes[1]), "plugging@3 present@4 plugging@5 present@6 unplug pending@7 "
                                    "present@8 unplug pending@9 present@13 ");
    EXPECT_EQ(phases(got.lanes[2]), "present@14 unplug pending@14 gone@15 ");
    EXPECT_EQ(got.lanes[2].phases[0].cause, "plugged before this log began");
}

TEST(DeviceLanes, AnEventFirstThenTheReplyIsOneRemoval) {
    const auto got = Log()
                         .sent(1, add_line("a", 1))
                         .received(2, ok(1))
                         .sent(3, del_line("a", 2))
                         .event(4, "DEVICE_DELETED", R"({"path":"/machine/peripheral/a"})")
                         .received(5, ok(2))
                         .sent(6, del_line("a", 3))
                         .received(7, refusal(3, "Device 'a' not found", "DeviceNotFound"))
                         .sent(8, add_line("a", 4))
                         .received(9, ok(4))
                         .timeline();
    EXPECT_EQ(phases(got.lanes[0]),
              "plugging@1 present@2 unplug pending@3 gone@4 plugging@8 present@9 ");
}

TEST(Timeline, LongArgumentsAreCutBetweenCharacters) {
    const auto got = Log()
                         .sent(1, R"({"execute":"x","arguments":{"a":")" + std::string(59, 'x') +
                                      "\xc3\xa4\xc3\xa4" + R"(","b":{"c":[1,2]}},"id":1})")
                         .timeline();
    EXPECT_EQ(got.exchanges[0].arguments, "a=" + std::string(59, 'x') + "... b={\"c\":[1,2]}");
}

TEST(Timeline, OfNothing) {
    const auto got = make_timeline({});
    EXPECT_TRUE(got.exchanges.empty() && got.remarks.empty() && got.lanes.empty());
    EXPECT_EQ(got.begin_us, 0);
}
