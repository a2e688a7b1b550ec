// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/multiplexer.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

using namespace kata_vfio;
using namespace kata_vfio::qemu;
namespace json = boost::json;

namespace {

using Completed = Multiplexer::Completed;
using Dropped = Multiplexer::Dropped;

class Mux : public testing::Test {
  protected:
    std::vector<CommandId> submit(int n) {
        std::vector<CommandId> ids;
        for (int i = 0; i < n; ++i)
            ids.push_back(mux_.submit(Command("c" + std::to_string(i))));
        return ids;
    }
    std::string write() {
        auto bytes = mux_.prepare_write();
        if (!bytes.empty())
            mux_.commit_write();
        return bytes;
    }
    Multiplexer::Outcome say(const std::string& text) { return mux_.consume(parse_message(text)); }
    Completed completed(const std::string& text) {
        auto outcome = say(text);
        if (auto* done = std::get_if<Completed>(&outcome))
            return std::move(*done);
        ADD_FAILURE() << "nothing completed by " << text;
        return {0, json::value()};
    }
    Dropped dropped(const std::string& text) {
        const auto outcome = say(text);
        EXPECT_TRUE(std::holds_alternative<Dropped>(outcome)) << text;
        return std::get<Dropped>(outcome);
    }
    Multiplexer mux_;
};

} // namespace

TEST_F(Mux, AnswersFindTheirCommandInAnyOrder) {
    submit(2);
    EXPECT_EQ(write(), "{\"execute\":\"c0\",\"id\":1}\n{\"execute\":\"c1\",\"id\":2}\n");
    const auto second = completed(R"({"return": "two", "id": 2})");
    EXPECT_EQ(second.id, 2u);
    EXPECT_EQ(std::get<json::value>(second.result), "two");
    const auto first = completed(R"({"id": 1, "error": {"class": "Odd", "desc": "no"}})");
    EXPECT_EQ(first.id, 1u);
    EXPECT_EQ(std::get<QmpFailure>(first.result).error_class(), "Odd");
    EXPECT_EQ(std::get<QmpFailure>(first.result).command(), "c0");
    EXPECT_EQ(mux_.in_flight(), 0u);
}

TEST_F(Mux, EightInFlightTheNinthWaitsForAnAnswer) {
    submit(10);
    auto bytes = write();
    EXPECT_EQ(std::count(bytes.begin(), bytes.end(), '\n'), 8);
    EXPECT_EQ(write(), "");
    EXPECT_TRUE(mux_.unsent(9));
    EXPECT_FALSE(mux_.unsent(8));
    (void)completed(R"({"return": {}, "id": 1})");
    EXPECT_EQ(write(), "{\"execute\":\"c8\",\"id\":9}\n");
    EXPECT_TRUE(mux_.unsent(10));
    EXPECT_EQ(mux_.in_flight(), 8u);
}

TEST_F(Mux, AReplyMayComeBeforeTheWriteIsKnownDone) {
    submit(1);
    EXPECT_FALSE(mux_.prepare_write().empty());
    EXPECT_EQ(completed(R"({"return": {}, "id": 1})").id, 1u);
    mux_.commit_write();
    EXPECT_EQ(mux_.in_flight(), 0u);
}

TEST_F(Mux, AbandonedUnsentIsForgottenAndNeverSent) {
    submit(9);
    write();
    mux_.abandon(9);
    (void)completed(R"({"return": {}, "id": 1})");
    EXPECT_EQ(write(), "");
    EXPECT_EQ(mux_.abandoned(), 0u);
}

TEST_F(Mux, AbandonedKeepsItsIdUntilTheLateReply) {
    submit(2);
    write();
    mux_.abandon(1);
    EXPECT_EQ(mux_.in_flight(), 2u);
    EXPECT_EQ(mux_.abandoned(), 1u);
    EXPECT_EQ(dropped(R"({"return": "late", "id": 1})"), Dropped::late);
    EXPECT_EQ(mux_.counters().late, 1u);
    EXPECT_EQ(dropped(R"({"return": "twice", "id": 1})"), Dropped::unknown);
    EXPECT_EQ(completed(R"({"return": "mine", "id": 2})").id, 2u);
}

TEST_F(Mux, ForeignIdsAreDroppedAndCounted) {
    submit(9);
    write();
    for (const char* text : {R"({"return": {}, "id": 77})", R"({"return": {}, "id": "1"})",
                             R"({"return": {}, "id": null})", R"({"return": {}})",
                             R"({"return": {}, "id": -1})", R"({"return": {}, "id": 1.0})",
                             R"({"return": {}, "id": [1]})", R"({"return": {}, "id": 9})",
                             R"({"id": 77, "error": {"class": "GenericError", "desc": "x"}})"})
        EXPECT_EQ(dropped(text), Dropped::unknown) << text;
    EXPECT_EQ(mux_.counters().unknown, 9u);
    EXPECT_EQ(mux_.in_flight(), 8u);
}

TEST_F(Mux, AnErrorWithoutIdFailsTheOldestInFlight) {
    EXPECT_EQ(dropped(R"({"error": {"class": "GenericError", "desc": "JSON parse error"}})"),
              Dropped::orphan);
    submit(2);
    write();
    const auto first =
        completed(R"({"error": {"class": "GenericError", "desc": "JSON parse error, x"}})");
    EXPECT_EQ(first.id, 1u);
    EXPECT_STREQ(std::get<Failure>(first.result).what(),
                 "QEMU could not read c0: JSON parse error, x");
    EXPECT_EQ(std::get<Failure>(first.result).code(), Errc::qmp_protocol);
    // A burst of them costs no command that is not in flight.
    (void)completed(R"({"error": {"class": "GenericError", "desc": "a"}})");
    EXPECT_EQ(dropped(R"({"error": {"class": "GenericError", "desc": "b"}})"), Dropped::orphan);
    EXPECT_EQ(mux_.counters().orphans, 2u);
}

TEST_F(Mux, OneBadMessageFailsOneCommand) {
    submit(3);
    write();
    const auto first = completed(R"({"return": {}, "id": inf})");
    EXPECT_EQ(first.id, 1u);
    const auto& failure = std::get<Failure>(first.result);
    EXPECT_EQ(failure.code(), Errc::qmp_protocol);
    EXPECT_NE(std::string(failure.what()).find("the answer to c0 is unusable: not JSON"),
              std::string::npos)
        << failure.what();
    EXPECT_NE(failure.verbatim().find("inf"), std::string::npos);
    // Its id, when it can be read, says which one.
    EXPECT_EQ(completed(R"({"what": 1, "id": 3})").id, 3u);
    EXPECT_EQ(completed(R"({"return": {}, "id": 2})").id, 2u);
    EXPECT_EQ(mux_.counters().bad, 2u);
}

TEST_F(Mux, EventsPassThroughAndASecondGreetingIsDropped) {
    submit(1);
    write();
    const auto outcome = say(R"({"event": "STOP"})");
    EXPECT_EQ(std::get<Event>(outcome).name, "STOP");
    EXPECT_EQ(dropped(R"({"QMP": {}})"), Dropped::greeting);
    EXPECT_EQ(mux_.in_flight(), 1u);
}

TEST_F(Mux, LosingTheConnectionFailsWhoeverStillWaits) {
    submit(10);
    write();
    mux_.abandon(2);
    EXPECT_EQ(mux_.fail_all(), (std::vector<CommandId>{1, 3, 4, 5, 6, 7, 8, 9, 10}));
    EXPECT_EQ(mux_.in_flight(), 0u);
    EXPECT_EQ(mux_.oldest_in_flight(), "");
    EXPECT_TRUE(mux_.fail_all().empty());
}

// QEMU closes a descriptor it was sent when another comes before a command has taken it.
TEST_F(Mux, DescriptorsTravelAloneAndOneAtATime) {
    auto& mux = mux_;
    const auto open_fd = [] { return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); };
    mux.submit(query_status());
    const auto first = mux.submit(getfd(open_fd(), "a"));
    mux.submit(add_fd(open_fd(), 7));
    mux.submit(query_pci());

    EXPECT_NE(mux.prepare_write().find("query-status"), std::string::npos);
    EXPECT_EQ(mux.take_fd(), nullptr);
    mux.commit_write();
    const auto alone = mux.prepare_write();
    EXPECT_EQ(alone, "{\"execute\":\"getfd\",\"arguments\":{\"fdname\":\"a\"},\"id\":" +
                         std::to_string(first) + "}\n");
    const auto fd = mux.take_fd();
    ASSERT_NE(fd, nullptr);
    EXPECT_EQ(fd.use_count(), 1) << "kept beyond its sending";
    mux.commit_write();
    EXPECT_EQ(mux.prepare_write(), "") << "the second waits, and what is behind it too";

    mux.consume(Reply{boost::json::value(first), boost::json::object()});
    EXPECT_NE(mux.prepare_write().find("\"fdset-id\":7"), std::string::npos);
    EXPECT_NE(mux.take_fd(), nullptr);
    mux.commit_write();
    EXPECT_NE(mux.prepare_write().find("query-pci"), std::string::npos);
    EXPECT_EQ(mux.take_fd(), nullptr);
}

TEST_F(Mux, ADescriptorThatIsNotSentIsClosed) {
    auto& mux = mux_;
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    const UniqueFd reading(ends[0]);
    auto id = mux.submit(getfd(UniqueFd(ends[1]), "a"));
    char byte = 0;
    EXPECT_EQ(::read(reading.get(), &byte, 1), -1) << "closed too early";
    mux.abandon(id);
    EXPECT_EQ(::read(reading.get(), &byte, 1), 0);

    ASSERT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    const UniqueFd other(ends[0]);
    mux.submit(getfd(UniqueFd(ends[1]), "b"));
    (void)mux.prepare_write();
    EXPECT_EQ(::read(other.get(), &byte, 1), -1) << "closed too early";
    (void)mux.fail_all();
    EXPECT_EQ(::read(other.get(), &byte, 1), 0);
}
