// SPDX-License-Identifier: Apache-2.0
#include "qemu/wire_log/wire_reader.hpp"

#include "config/base/failure.hpp"
#include "qemu/wire_log/wire_lines.hpp"
#include "temp_dir.hpp"

#include <gmock/gmock.h>

using namespace kata_vfio;
using namespace kata_vfio::qemu;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

namespace {

const std::string header = WireLines::header(1, 2);
const std::string sent =
    R"({"us":7,"wall_us":8,"conn":2,"kind":"sent","message":{"execute": "stop", "id":1}})";

WireHistory history(const std::string& text) {
    WireHistory out;
    add_wire_text(out, text, "wire.log");
    return out;
}

std::string problem(const std::string& line) {
    const auto out = history(line + "\n");
    return out.problems.empty() ? "taken" : out.problems.front();
}

} // namespace

TEST(WireReader, ALineBecomesARecord) {
    const auto got = history(header + sent + "\n");
    ASSERT_EQ(got.records.size(), 1u);
    const auto& record = got.records[0];
    EXPECT_EQ(record.kind, WireRecord::Kind::sent);
    EXPECT_EQ(record.us, 7);
    EXPECT_EQ(record.wall_us, 8);
    EXPECT_EQ(record.connection, 2u);
    EXPECT_FALSE(record.received);
    EXPECT_EQ(record.text, R"({"execute": "stop", "id":1})") << "with its blanks";
    EXPECT_EQ(record.message.at("execute"), "stop");
    EXPECT_EQ(record.at(), "wire.log:2");
    EXPECT_THAT(got.problems, testing::IsEmpty());
}

TEST(WireReader, MembersMayStandInAnyOrderAndNewOnesAreIgnored) {
    const auto got =
        history(R"({"kind":"received","message":{"a":1},"later":[1],"conn":1,"us":5,"wall_us":6})"
                "\n");
    ASSERT_EQ(got.records.size(), 1u);
    EXPECT_EQ(got.records[0].text, R"({"a":1})");
    EXPECT_EQ(got.records[0].us, 5);
}

TEST(WireReader, BadLinesAreNamedAndTheRestIsRead) {
    const auto got = history(header + "rubbish\n" + sent + "\n[1]\n{\"us\":1}\n\n" + sent + "\n");
    EXPECT_EQ(got.records.size(), 2u);
    EXPECT_EQ(got.records[1].line, 7u);
    EXPECT_THAT(got.problems,
                ElementsAre(StartsWith("wire.log:2: not JSON: "), "wire.log:4: not a JSON object",
                            "wire.log:5: no \"kind\""));
    EXPECT_EQ(problem(R"({"kind":"sent","conn":1,"message":{}})"),
              "wire.log:1: no \"us\", the time in microseconds");
    EXPECT_EQ(problem(R"({"us":1,"kind":"sent","conn":1})"),
              "wire.log:1: neither \"message\" nor \"text\"");
    EXPECT_EQ(problem("{\"us\":1,\"kind\":\"sent\",\"conn\":1,\"text\":\"\xe2\x82\xac\"}"),
              "wire.log:1: \"text\" holds characters that stand for no byte");
    EXPECT_EQ(problem(R"({"us":1,"kind":"log","version":2})"),
              "wire.log:1: not version 1 of the format; read as far as it is known");
    EXPECT_EQ(problem(R"({"us":1,"kind":"from the future","conn":1})"), "taken");
}

TEST(WireReader, TheLastLineMayBeTornOrLackItsNewline) {
    EXPECT_THAT(history(header + sent).records.size(), 1u);
    EXPECT_THAT(history(header + sent).problems, testing::IsEmpty());
    const auto torn = history(header + sent + "\n" + sent.substr(0, 40));
    EXPECT_EQ(torn.records.size(), 1u);
    EXPECT_THAT(torn.problems, ElementsAre(StartsWith("wire.log:3: the last line is cut off (")));
}

TEST(WireReader, ProblemsAreCountedBeyondThoseTold) {
    std::string text;
    for (int i = 0; i < 250; ++i)
        text += "x\n";
    EXPECT_EQ(history(text).bad_lines, 250u);
    EXPECT_EQ(history(text).problems.size(), 100u);
}

TEST(WireReader, ARotatedSetIsReadOldestFirst) {
    TempDir directory;
    const auto line = [](int us) {
        return "{\"us\":" + std::to_string(us) + ",\"conn\":1,\"kind\":\"closed\"}\n";
    };
    directory.write("wire.log", header + line(30));
    directory.write("wire.log.1", header + line(20) + "x\n");
    directory.write("wire.log.2", header + line(10));
    directory.write("wire.log.10", header + line(5));
    const auto got = read_wire_log(directory.path() / "wire.log");
    std::vector<std::int64_t> times;
    for (const auto& record : got.records)
        times.push_back(record.us);
    EXPECT_THAT(times, ElementsAre(5, 10, 20, 30));
    EXPECT_THAT(got.problems, ElementsAre(StartsWith("wire.log.1:3: ")));
    EXPECT_EQ(got.files.size(), 4u);
}

TEST(WireReader, NoneAtAllIsNamed) {
    TempDir directory;
    try {
        read_wire_log(directory.path() / "wire.log");
        FAIL();
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.code(), Errc::host_io);
        EXPECT_THAT(failure.problem(), StartsWith("there is no QMP log /"));
    }
    EXPECT_THROW(read_wire_log(directory.path()), Failure) << "a directory";
}
