// SPDX-License-Identifier: Apache-2.0
#include "qemu/wire_log/wire_lines.hpp"

#include "qemu/wire_log/wire_record.hpp"

#include <boost/json.hpp>
#include <gmock/gmock.h>

using namespace kata_vfio::qemu;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
namespace json = boost::json;

namespace {

using Kind = WireChunk::Kind;

WireChunk chunk(Kind kind, std::string bytes = {}) {
    return {kind, 5, 1700000000000006, std::move(bytes), 0};
}

const std::string head = R"({"us":5,"wall_us":1700000000000006,"conn":3,"kind":)";

std::string redacted(const std::vector<std::string>& members, std::string_view text) {
    return Redaction(members).apply(text);
}

WireRecord read(const std::string& line) {
    auto parsed = parse_wire_line(std::string_view(line).substr(0, line.size() - 1));
    if (const auto* why = std::get_if<std::string>(&parsed))
        throw std::runtime_error(*why + ": " + line);
    return std::get<WireRecord>(parsed);
}

} // namespace

TEST(WireLines, AMessageIsItsOwnBytes) {
    WireLines lines{Redaction()};
    // Key order, blanks, a number a parser would change: all as it came.
    const std::string message = R"({"return":  {"b": 1.50, "a": 1e2}, "id": 18446744073709551616})";
    EXPECT_THAT(lines.add(chunk(Kind::received, message + "\r\n"), 3),
                ElementsAre(head + R"("received","message":)" + message + "}\n"));
    EXPECT_THAT(lines.add(chunk(Kind::sent, "{\"execute\":\"stop\"}\n"), 3),
                ElementsAre(head + "\"sent\",\"message\":{\"execute\":\"stop\"}}\n"));
}

TEST(WireLines, CutAnywhereAndManyAtOnce) {
    WireLines lines{Redaction()};
    EXPECT_THAT(lines.add(chunk(Kind::received, "{\"a\""), 1), IsEmpty());
    // The other direction does not disturb it.
    EXPECT_EQ(lines.add(chunk(Kind::sent, "{}"), 1).size(), 1u);
    const auto both = lines.add(chunk(Kind::received, ":1}\r\n{\"b\":2}\r\n{"), 1);
    ASSERT_EQ(both.size(), 2u);
    EXPECT_EQ(read(both[0]).text, "{\"a\":1}");
    EXPECT_EQ(read(both[1]).text, "{\"b\":2}");
}

TEST(WireLines, PrettyPrintedStaysOneLine) {
    WireLines lines{Redaction()};
    const auto got = lines.add(chunk(Kind::received, "{\r\n    \"a\":\r\n \"\\n\"\n}\r\n"), 1);
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(std::count(got[0].begin(), got[0].end(), '\n'), 1);
    EXPECT_EQ(read(got[0]).message, json::parse("{\"a\":\"\\n\"}"));
    EXPECT_EQ(read(got[0]).text, "{      \"a\":   \"\\n\" }");
}

TEST(WireLines, WhatIsNoJsonComesBackToTheByte) {
    WireLines lines{Redaction()};
    const std::string bytes = "{\"id\": inf, \"x\": \"\xff\xc3\x28\"}";
    const auto bad = lines.add(chunk(Kind::received, bytes + "\n"), 1);
    ASSERT_EQ(bad.size(), 1u);
    const auto record = read(bad[0]);
    EXPECT_FALSE(record.is_json);
    EXPECT_EQ(record.text, bytes);
    EXPECT_THAT(record.why, HasSubstr("not JSON: "));

    const auto stray = lines.add(chunk(Kind::received, "HTTP/1.1 400\n"), 1);
    ASSERT_EQ(stray.size(), 1u);
    EXPECT_EQ(read(stray[0]).text, "HTTP/1.1 400");
    EXPECT_THAT(read(stray[0]).why, HasSubstr("it begins no object"));
}

TEST(WireLines, ALimitKeepsTheBeginning) {
    WireLines lines(Redaction(), FrameLimits(300, 3));
    const auto got =
        lines.add(chunk(Kind::received, "{\"a\":\"" + std::string(400, 'x') + "\"}[[[[]]]]"), 1);
    ASSERT_EQ(got.size(), 2u);
    EXPECT_THAT(got[0], HasSubstr("longer than 300 bytes; this is its beginning"));
    EXPECT_EQ(read(got[0]).text.size(), 256u);
    EXPECT_THAT(got[1], HasSubstr("nested deeper than 3"));
}

TEST(WireLines, TheEndShowsWhatWasTorn) {
    WireLines lines{Redaction()};
    EXPECT_THAT(lines.add(chunk(Kind::connect, "/run/q.sock"), 3),
                ElementsAre(head + "\"connect\",\"where\":\"/run/q.sock\"}\n"));
    EXPECT_THAT(lines.add(chunk(Kind::received, "{\"ret"), 3), IsEmpty());
    const auto got = lines.add(chunk(Kind::lost, "QEMU closed"), 3);
    EXPECT_THAT(got, ElementsAre(head +
                                     R"("torn","direction":"received","text":"{\"ret","why":)"
                                     R"("incomplete, 5 bytes of it"})" +
                                     "\n",
                                 head + "\"lost\",\"why\":\"QEMU closed\"}\n"));
    EXPECT_THAT(lines.add(chunk(Kind::closed), 3), ElementsAre(head + "\"closed\"}\n"));
}

TEST(WireLines, BehindAGapReadingStartsAtALine) {
    WireLines lines{Redaction()};
    EXPECT_THAT(lines.add(chunk(Kind::received, "{\"a\":["), 1), IsEmpty());
    auto gap = chunk(Kind::gap, "too slow");
    gap.missing = 77;
    EXPECT_THAT(lines.add(gap, 3),
                ElementsAre(head + R"("gap","bytes":77,"why":"too slow"})" + "\n"));
    // The rest of a message must not pass for messages.
    EXPECT_THAT(lines.add(chunk(Kind::received, "{\"n\":1}, {\"n\":2}"), 1), IsEmpty());
    const auto got = lines.add(chunk(Kind::received, "]}\r\n{\"b\":1}\r\n"), 1);
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(read(got[0]).text, "{\"b\":1}");
}

TEST(Redaction, NamesMatchAtAnyDepthAndNothingElseChanges) {
    EXPECT_EQ(
        redacted(
            {"password"},
            R"({"a": {"password" : "x\"}y", "n":[1,{"password":{"q":[1]}}]}, "password":1e400})"),
        R"({"a": {"password" : "[redacted]", "n":[1,{"password":"[redacted]"}]}, "password":"[redacted]"})");
    EXPECT_EQ(redacted({"password"}, R"({"passwords":1,"x":"password","y":["password",2]})"),
              R"({"passwords":1,"x":"password","y":["password",2]})");
    EXPECT_EQ(redacted({"password"}, R"({"pass\u0077ord":"x"})"),
              R"({"pass\u0077ord":"[redacted]"})");
}

TEST(Redaction, PathsStartAtTheTopAndPassThroughArrays) {
    const std::vector<std::string> path{"arguments.secret"};
    EXPECT_EQ(
        redacted(path, R"({"execute":"x","arguments":{"a":{},"secret":true,"b":0},"secret":1})"),
        R"({"execute":"x","arguments":{"a":{},"secret":"[redacted]","b":0},"secret":1})");
    EXPECT_EQ(redacted({"return.list.key"},
                       R"({"return":{"list":[{"key":1},{"no":2,"key":null}],"key":3}})"),
              R"({"return":{"list":[{"key":"[redacted]"},{"no":2,"key":"[redacted]"}],"key":3}})");
    EXPECT_EQ(
        redacted(path, R"({"arguments":{"deep":{"secret":1}},"x":{"arguments":{"secret":2}}})"),
        R"({"arguments":{"deep":{"secret":1}},"x":{"arguments":{"secret":2}}})");
}

TEST(Redaction, TheResultIsJsonWhateverTheMessage) {
    for (const auto* text :
         {"{}", "[]", "[[],{}]", R"({"a":{}})", R"({"a":[],"b":{"a":{"a":1}}})",
          R"({"b":[{"a":[{"a":1}]},{"a":"\\"}],"c":-0.5})", R"({"":{"a" : null} })"}) {
        const auto out = redacted({"a"}, text);
        json::error_code error;
        const auto value = json::parse(out, error);
        EXPECT_FALSE(error) << out;
        EXPECT_EQ(redacted({"absent"}, text), text);
        const auto* object = value.if_object();
        const auto* hidden = object ? object->if_contains("a") : nullptr;
        EXPECT_TRUE(!hidden || *hidden == "[redacted]") << out;
    }
}

TEST(WireLines, WithARedactionWhatCantBeSearchedIsWithheld) {
    WireLines lines(Redaction({"password"}));
    EXPECT_THAT(lines.add(chunk(Kind::sent, "{\"password\":\"hunter2\"}"), 3),
                ElementsAre(head + "\"sent\",\"message\":{\"password\":\"[redacted]\"}}\n"));
    const auto bad = lines.add(chunk(Kind::received, "{\"password\": hunter2}"), 3);
    ASSERT_EQ(bad.size(), 1u);
    EXPECT_THAT(bad[0], testing::Not(HasSubstr("hunter2")));
    EXPECT_THAT(bad[0], HasSubstr("withheld: qmp_log_redact is set"));
    EXPECT_EQ(read(bad[0]).bytes, 21u);
    (void)lines.add(chunk(Kind::received, "{\"password\":\"hun"), 3);
    for (const auto& line : lines.add(chunk(Kind::lost, "gone"), 3))
        EXPECT_THAT(line, testing::Not(HasSubstr("hun")));
}
