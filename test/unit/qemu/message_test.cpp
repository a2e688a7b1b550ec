// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/message.hpp"

#include <boost/json/serialize.hpp>
#include <gtest/gtest.h>

using namespace kata_vfio::qemu;
namespace json = boost::json;

namespace {

template <class T>
T as(std::string_view text) {
    auto message = parse_message(text);
    if (auto* wanted = std::get_if<T>(&message))
        return std::move(*wanted);
    ADD_FAILURE() << "another kind, index " << message.index() << ": " << text;
    return {};
}

} // namespace

TEST(Message, Greeting) {
    const auto greeting =
        as<Greeting>(R"({"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7},)"
                     R"( "package": "Debian 1:7.2"}, "capabilities": ["oob", 5]}})");
    EXPECT_EQ(greeting.version(), "7.2.22 (Debian 1:7.2)");
    EXPECT_EQ(greeting.capabilities, std::vector<std::string>{"oob"});
    EXPECT_EQ(as<Greeting>(R"({"QMP": {}})").version(), "0.0.0");
}

TEST(Message, ReplyWhereverTheIdStands) {
    EXPECT_EQ(as<Reply>(R"({"return": {"a": 1}, "id": 7})").id, json::value(7));
    EXPECT_EQ(as<Reply>(R"({"id": "x", "return": []})").id, json::value("x"));
    EXPECT_FALSE(as<Reply>(R"({"return": {}})").id);
    EXPECT_TRUE(as<Reply>(R"({"return": {}, "id": null})").id->is_null());
}

TEST(Message, ErrorKeepsAnyClass) {
    const auto error =
        as<ErrorReply>(R"({"id": 1, "error": {"class": "BrandNew", "desc": "no", "x": 1}})");
    EXPECT_EQ(error.error_class, "BrandNew");
    EXPECT_EQ(error.desc, "no");
    EXPECT_EQ(error.id, json::value(1));
    const auto bare = as<ErrorReply>(R"({"error": {"class": 5}})");
    EXPECT_EQ(bare.error_class, "");
    EXPECT_FALSE(bare.id);
}

TEST(Message, EventWithAndWithoutItsParts) {
    const auto event =
        as<Event>(R"({"timestamp": {"seconds": 12, "microseconds": 34}, "event": "DEVICE_DELETED",)"
                  R"( "data": {"device": "gpu0", "n": 4}, "later": true})");
    EXPECT_EQ(event.name, "DEVICE_DELETED");
    EXPECT_EQ(event.text("device"), "gpu0");
    EXPECT_EQ(event.text("n"), "");
    EXPECT_EQ(event.text("none"), "");
    EXPECT_EQ(event.seconds, 12);
    EXPECT_EQ(event.microseconds, 34);
    const auto bare = as<Event>(R"({"event": "STOP"})");
    EXPECT_EQ(bare.seconds, -1);
    EXPECT_TRUE(bare.data.empty());
    EXPECT_EQ(
        as<Event>(R"({"event": "X", "timestamp": {"seconds": -1, "microseconds": -1}})").seconds,
        -1);
}

TEST(Message, DepthOfQemuIsAcceptedOneMoreIsNot) {
    const auto deep = [](int depth) {
        return "{\"return\": " + std::string(depth, '[') + std::string(depth, ']') + ", \"id\": 1}";
    };
    EXPECT_EQ(as<Reply>(deep(33)).id, json::value(1));
    EXPECT_EQ(as<Reply>(deep(1023)).id, json::value(1));
    EXPECT_NE(as<BadMessage>(deep(1024)).why.find("too deep"), std::string::npos);
}

TEST(Message, WhatCannotBeUsedIsBadNotFatal) {
    // QEMU itself emits this for "id": 1e400.
    const auto inf = as<BadMessage>(R"({"return": {}, "id": inf})");
    EXPECT_NE(inf.why.find("not JSON"), std::string::npos);
    EXPECT_EQ(inf.text, R"({"return": {}, "id": inf})");
    EXPECT_FALSE(inf.id);

    const auto neither = as<BadMessage>(R"({"foo": 1, "id": 3})");
    EXPECT_EQ(neither.why, "neither greeting, reply, error nor event");
    EXPECT_EQ(neither.id, json::value(3));
    EXPECT_EQ(as<BadMessage>("[1]").why, "not a JSON object");
    EXPECT_EQ(as<BadMessage>(R"({"error": "x"})").why, neither.why);
    EXPECT_EQ(as<BadMessage>(R"({"event": 5})").why, neither.why);
    for (const char* text :
         {"{]", "", "{\"a\":\"\\ud800\"}", "{\"a\":\"\x01\"}", "{\"a\":\"\xff\"}"})
        EXPECT_TRUE(std::holds_alternative<BadMessage>(parse_message(text))) << text;
    EXPECT_EQ(as<BadMessage>("{" + std::string(1000, ' ') + "]").text.size(), 256u);
}

// QEMU never says so, a proxy of ours does.
TEST(Message, ASynthesisedEventIsKnownAsOneAndPrintedAsOne) {
    const auto event = as<Event>(
        R"({"timestamp": {"seconds": 1, "microseconds": 2}, "event": "STOP", "synthesised": true})");
    EXPECT_TRUE(event.synthesised);
    EXPECT_EQ(json::serialize(event_json(event)),
              R"({"timestamp":{"seconds":1,"microseconds":2},"event":"STOP","synthesised":true})");
    for (const auto* other :
         {R"({"event": "STOP"})", R"({"event": "STOP", "synthesised": "true"})"})
        EXPECT_FALSE(as<Event>(other).synthesised);
}
