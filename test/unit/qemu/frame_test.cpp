// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/frame.hpp"

#include <gtest/gtest.h>

#include <vector>

using namespace kata_vfio::qemu;

namespace {

struct Got {
    FrameFault fault;
    std::string text;
    bool operator==(const Got&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Got& got) {
    return out << static_cast<int>(got.fault) << ":" << got.text;
}

std::vector<Got> split(std::string_view bytes, std::size_t piece, FrameLimits limits = {}) {
    FrameSplitter splitter(limits);
    std::vector<Got> all;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
        splitter.feed(bytes.substr(at, piece));
        while (const auto frame = splitter.next())
            all.push_back({frame->fault, std::string(frame->text)});
    }
    return all;
}

using All = std::vector<Got>;

} // namespace

TEST(FrameSplitter, GivesTheSameHoweverTheBytesCome) {
    const std::string stream =
        "{\"return\": {}, \"id\": 1}\r\n"
        "{\"a\": \"}{\\\"]\\\\\"}{\"b\": [{}, [\"[\"]]}\n"
        "\r\n\r\n{\r\n    \"pretty\": {\r\n        \"x\": 1\r\n    }\r\n}\r\n";
    const All expected{
        {FrameFault::none, "{\"return\": {}, \"id\": 1}"},
        {FrameFault::none, "{\"a\": \"}{\\\"]\\\\\"}"},
        {FrameFault::none, "{\"b\": [{}, [\"[\"]]}"},
        {FrameFault::none, "{\r\n    \"pretty\": {\r\n        \"x\": 1\r\n    }\r\n}"}};
    for (std::size_t piece = 1; piece <= stream.size(); ++piece)
        EXPECT_EQ(split(stream, piece), expected) << "in pieces of " << piece;
}

TEST(FrameSplitter, AnIncompleteMessageIsPartial) {
    FrameSplitter splitter;
    splitter.feed("{\"return\": {}}  {\"ret");
    EXPECT_EQ(splitter.next()->text, "{\"return\": {}}");
    EXPECT_FALSE(splitter.next());
    EXPECT_EQ(splitter.partial(), "{\"ret");
    splitter.feed("urn\": 1}\r\n");
    EXPECT_EQ(splitter.next()->text, "{\"return\": 1}");
    EXPECT_FALSE(splitter.next());
    EXPECT_EQ(splitter.partial(), "");
}

TEST(FrameSplitter, OverlongIsSkippedReportedOnceAndNotKept) {
    const FrameLimits limits(1000, 1024);
    const auto exact = "{\"x\":\"" + std::string(992, 'y') + "\"}";
    ASSERT_EQ(exact.size(), 1000u);
    EXPECT_EQ(split(exact, 7, limits), (All{{FrameFault::none, exact}}));

    const auto longer = "{\"x\":\"" + std::string(993, 'y') + "\"}\r\n{}";
    for (const std::size_t piece : {1, 100, 4096}) {
        const auto got = split(longer, piece, limits);
        ASSERT_EQ(got.size(), 2u) << piece;
        EXPECT_EQ(got[0], (Got{FrameFault::too_long, longer.substr(0, 256)}));
        EXPECT_EQ(got[1], (Got{FrameFault::none, "{}"}));
    }

    FrameSplitter splitter(limits);
    splitter.feed("{\"x\":\"");
    for (int i = 0; i < 1000; ++i) {
        splitter.feed(std::string(1000, 'y'));
        EXPECT_FALSE(splitter.next());
        ASSERT_LE(splitter.partial().size(), 1006u);
    }
}

TEST(FrameSplitter, TooDeepIsSkippedAndTheNextIsFine) {
    const auto nested = [](std::size_t depth) {
        return std::string(depth, '[') + std::string(depth, ']');
    };
    EXPECT_EQ(split(nested(1024), 64), (All{{FrameFault::none, nested(1024)}}));
    const auto got = split(nested(1025) + "\n{\"a\":1}", 64);
    ASSERT_EQ(got.size(), 2u);
    EXPECT_EQ(got[0].fault, FrameFault::too_deep);
    EXPECT_EQ(got[1], (Got{FrameFault::none, "{\"a\":1}"}));
}

TEST(FrameSplitter, StrayBytesAreReportedOncePerLine) {
    EXPECT_EQ(split("HTTP/1.1 400 Bad\r\n{\"a\":1}", 100),
              (All{{FrameFault::stray, "HTTP/1.1 400 Bad\r"}, {FrameFault::none, "{\"a\":1}"}}));
    const auto bytewise = split("login: x\n{}", 1);
    EXPECT_EQ(bytewise, (All{{FrameFault::stray, "l"}, {FrameFault::none, "{}"}}));
    EXPECT_EQ(split("null{}", 100), (All{{FrameFault::stray, "null"}, {FrameFault::none, "{}"}}));
    EXPECT_EQ(split("}", 1), (All{{FrameFault::stray, "}"}}));
}

TEST(FrameSplitter, TheLimitPassedFirstIsToldHoweverTheBytesCome) {
    const std::string long_then_deep = "[\"0123456789\",[[[1]]]]";
    const std::string deep_then_long = "[[[[1]]],\"0123456789\"]";
    for (std::size_t piece = 1; piece <= long_then_deep.size(); ++piece) {
        EXPECT_EQ(split(long_then_deep, piece, FrameLimits(8, 3)),
                  (All{{FrameFault::too_long, long_then_deep}}))
            << "in pieces of " << piece;
        EXPECT_EQ(split(deep_then_long, piece, FrameLimits(8, 3)),
                  (All{{FrameFault::too_deep, deep_then_long}}))
            << "in pieces of " << piece;
    }
}
