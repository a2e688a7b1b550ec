// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/proxy/input.hpp"

#include <boost/json/serialize.hpp>
#include <gtest/gtest.h>

#include <string>
#include <vector>

using namespace kata_vfio::qemu;
using namespace std::string_literals;

namespace {

/// "value", "value | id" or "! error", one per message.
std::vector<std::string> read(std::string_view bytes, std::size_t piece = 1,
                              ProxyInputLimits limits = {}) {
    ProxyInput input(limits);
    std::vector<std::string> all;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
        input.feed(bytes.substr(at, piece));
        while (const auto message = input.next())
            all.push_back(message->error ? "! " + *message->error
                                         : boost::json::serialize(message->value) +
                                               (message->id ? " | " + *message->id : ""));
    }
    EXPECT_EQ(input.pending(), 0u);
    return all;
}

using All = std::vector<std::string>;

std::string id_of(const std::string& id) {
    ProxyInput input;
    input.feed("{\"id\":" + id + "}");
    const auto message = input.next();
    return message && message->id ? *message->id : "none";
}

All errors(const std::string& bytes) {
    All all;
    // What follows a complaint is taken as if nothing had been.
    for (auto& text : read(bytes + "\n{\"execute\":\"ok\"}"))
        if (text != R"({"execute":"ok"})")
            all.push_back(text.substr(2));
        else
            all.push_back("ok");
    return all;
}

std::string parse_error(const std::string& bytes) {
    const auto all = errors(bytes);
    const std::string start = "JSON parse error, ";
    if (all.size() != 2 || all[1] != "ok" || !all[0].starts_with(start))
        return "not one parse error, then a command: " + std::to_string(all.size());
    return all[0].substr(start.size());
}

} // namespace

TEST(ProxyInput, GivesTheSameHoweverTheBytesCome) {
    const std::string bytes = "{\"execute\":\"a\"}{'execute':'b\\'s','id':[1, {}]}\r\n\n"
                              "  {\"execute\" :\n\"c\"}\xff skipped\n null 5 \"x\"";
    const All expected{R"({"execute":"a"})",
                       R"({"execute":"b's","id":[1,{}]} | [1, {}])",
                       R"({"execute":"c"})",
                       "! JSON parse error, stray '\xff'",
                       "null",
                       "5",
                       "\"x\""};
    for (std::size_t piece = 1; piece <= bytes.size(); ++piece)
        EXPECT_EQ(read(bytes, piece), expected) << "in pieces of " << piece;
}

TEST(ProxyInput, ACommandIsCompleteAtItsLastBrace) {
    ProxyInput input;
    input.feed("{\"execute\":\"query-status\"");
    EXPECT_FALSE(input.next());
    input.feed("}");
    EXPECT_TRUE(input.next());
}

TEST(ProxyInput, KeepsTheIdToTheByte) {
    for (const std::string id :
         {"1", "-0", "1e400", "18446744073709551616", "1.50", "null", "true", "\"a\\u00e9\\/b\"",
          "{\"b\": [1,2 , 3],\"a\":{}}", "[]", "\"it's\""})
        EXPECT_EQ(id_of(id), id);
    ProxyInput input;
    input.feed("{}{\"a\":{\"id\":1}}");
    EXPECT_FALSE(input.next()->id);
    EXPECT_FALSE(input.next()->id) << "a nested member is not the message's id";
}

TEST(ProxyInput, WritesAgainTheIdThatIsNoJsonInAscii) {
    EXPECT_EQ(id_of("'a\"b'"), R"("a\"b")");
    EXPECT_EQ(id_of("\"it\\'s\""), R"("it's")");
    EXPECT_EQ(id_of("\"\xc3\xa9 \xf0\x9f\x98\x80\""), R"("\u00E9 \uD83D\uDE00")");
    EXPECT_EQ(id_of("[1e400,\n{'k' :-0}]"), R"([1e400, {"k": -0}])");
}

// What a real 7.2 says to the same bytes is compared in test/behaviour/proxy_likeness_test.cpp.
TEST(ProxyInput, ComplainsInQemusWords) {
    EXPECT_EQ(parse_error("{]"), "expecting value");
    EXPECT_EQ(parse_error("[1,]"), "expecting value");
    EXPECT_EQ(parse_error("{\"a\":1,\"a\":2}"), "duplicate key");
    EXPECT_EQ(parse_error("{\"a\" 1}"), "missing : in object pair");
    EXPECT_EQ(parse_error("{\"a\":1 2}"), "expected separator in dict");
    EXPECT_EQ(parse_error("[1 2]"), "expected separator in list");
    EXPECT_EQ(parse_error("{1:2}"), "key is not a string in object");
    EXPECT_EQ(parse_error("{nope:1}"), "invalid keyword 'nope'");
    EXPECT_EQ(parse_error("{\"a\":\"\\x\"}"), "invalid escape sequence in string");
    EXPECT_EQ(parse_error("{\"a\":\"\\u12\"}"), "\\u12\" is not a valid Unicode character");
    EXPECT_EQ(parse_error("{'a':'\\ud800\\u0041'}"), "\\ud800 is not a valid Unicode character");
    EXPECT_EQ(parse_error("{\"a\":\"\xc3\"}"), "invalid UTF-8 sequence in string");
    EXPECT_EQ(parse_error("{\"a\":\"\xed\xa0\x80\"}"), "invalid UTF-8 sequence in string");
    EXPECT_EQ(parse_error("\xff"), "stray '\xff'");
    EXPECT_EQ(parse_error("{\x02"), "stray '\x02'");
    EXPECT_EQ(parse_error("{'bad \xff"), "stray ''bad \xff'");
    EXPECT_EQ(parse_error("\0"s), "stray ''");
    EXPECT_EQ(parse_error("0123"), "stray '01'");
    EXPECT_EQ(parse_error("{\"a\":1.}"), "stray '1.}'");
}

TEST(ProxyInput, OneBadLineCanCostSeveralComplaints) {
    EXPECT_EQ(
        errors("GET / HTTP/1.1\r\nHost: x\r\n"),
        (All{"JSON parse error, stray 'G'", "JSON parse error, stray 'H'",
             "JSON parse error, expecting value", "JSON parse error, invalid keyword 'x'", "ok"}));
    EXPECT_EQ(errors("{\"a\":01}"),
              (All{"JSON parse error, stray '01'", "JSON parse error, expecting value", "ok"}));
}

TEST(ProxyInput, ABracketClosedByABraceStaysOpen) {
    EXPECT_EQ(errors("{\"a\":[}"), All{}) << "QEMU waits for the bracket";
    EXPECT_EQ(errors("{\"a\":[}\x01"), (All{"JSON parse error, stray '\x01'", "ok"}));
}

TEST(ProxyInput, TakesWhatTheLimitsAllowAndNoMore) {
    const std::string deep = "[[[", too_deep = deep + "[";
    ProxyInputLimits limits;
    limits.max_depth = 3;
    EXPECT_EQ(read(deep + "]]]", 1, limits), All{"[[[]]]"});
    EXPECT_EQ(read(too_deep + " {}", 1, limits),
              (All{"! JSON nesting depth limit exceeded", "{}"}));

    limits = {};
    limits.max_tokens = 5;
    EXPECT_EQ(read("[1,2]", 1, limits), All{"[1,2]"});
    EXPECT_EQ(read("[1,2,3\n", 1, limits), All{"! JSON token count limit exceeded"});

    limits = {};
    limits.max_bytes = 100;
    EXPECT_EQ(read('"' + std::string(98, 'x') + '"', 1, limits).at(0).size(), 100u);
    EXPECT_EQ(read('"' + std::string(5000, 'x') + "\"\n{}", 1, limits),
              (All{"! JSON token size limit exceeded", "{}"}));
    EXPECT_EQ(read("[" + std::string(5000, ' ') + "\n{}", 1, limits).at(0),
              "! JSON token size limit exceeded")
        << "white space inside a command counts";
    EXPECT_EQ(read(std::string(5000, ' ') + "{}", 1, limits), All{"{}"});
}

TEST(ProxyInput, TheDefaultsAreOneMebibyteAnd64Levels) {
    EXPECT_EQ(read(std::string(64, '[') + std::string(64, ']'), 7).size(), 1u);
    EXPECT_EQ(read(std::string(65, '['), 7), All{"! JSON nesting depth limit exceeded"});
    const auto text = '"' + std::string((1u << 20) - 2, 'x') + '"';
    EXPECT_EQ(read(text, 4096).at(0)[0], '"');
    EXPECT_EQ(read('"' + std::string(1u << 20, 'x'), 4096).at(0)[0], '!');
}

TEST(ProxyInput, ReadsNumbersAsQemuDoes) {
    ProxyInput input;
    input.feed("[-0,9223372036854775808,-9223372036854775808,18446744073709551616,1e400,-1.5e1]");
    const auto list = input.next()->value.as_array();
    EXPECT_EQ(list[0], 0);
    EXPECT_EQ(list[1].as_uint64(), 9223372036854775808u);
    EXPECT_EQ(list[2].as_int64(), std::numeric_limits<std::int64_t>::min());
    EXPECT_EQ(list[3].as_double(), 18446744073709551616.0);
    EXPECT_TRUE(std::isinf(list[4].as_double()));
    EXPECT_EQ(list[5].as_double(), -15.0);
}

TEST(ProxyInput, KeepsAZeroCharacter) {
    ProxyInput input;
    input.feed("\"a\\u0000b\" \"\xc0\x80\"");
    EXPECT_EQ(input.next()->value.as_string().size(), 3u);
    EXPECT_EQ(input.next()->value.as_string().size(), 1u);
}
