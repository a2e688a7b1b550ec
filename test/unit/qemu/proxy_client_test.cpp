// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/proxy/client.hpp"

#include <boost/json/parse.hpp>
#include <gtest/gtest.h>

using namespace kata_vfio;
using namespace kata_vfio::qemu;
namespace json = boost::json;

namespace {

Greeting version() {
    Greeting greeting;
    greeting.major = 7;
    greeting.minor = 2;
    greeting.micro = 22;
    greeting.package = "Debian 1:7.2+dfsg-7";
    return greeting;
}

/// What the client would have read since the last call.
std::string output(ProxyClient& client) {
    const std::string text(client.unsent());
    client.sent(text.size());
    return text;
}

struct Talk {
    explicit Talk(ProxyMode mode = ProxyMode::unsafe, bool negotiated = true)
        : client(version(), ProxyPolicy(mode)) {
        (void)output(client);
        if (negotiated)
            say("{'execute':'qmp_capabilities'}");
    }
    /// What is answered at once.
    std::string say(std::string_view bytes) {
        client.received(bytes);
        while (auto command = client.next())
            commands.push_back(std::move(*command));
        return output(client);
    }
    ProxyClient client;
    std::vector<Command> commands;
};

constexpr auto expecting = "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"Expecting "
                           "capabilities negotiation with 'qmp_capabilities'\"}}\r\n";

} // namespace

TEST(ProxyClient, GreetsWithQemusVersionAndNoCapability) {
    ProxyClient client(version(), ProxyPolicy(ProxyMode::read_only));
    EXPECT_EQ(output(client),
              "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, "
              "\"package\": \"Debian 1:7.2+dfsg-7\"}, \"capabilities\": []}}\r\n");
}

TEST(ProxyClient, NegotiatesFirst) {
    Talk talk(ProxyMode::unsafe, false);
    EXPECT_EQ(talk.say("{\"execute\":\"query-status\"}"), expecting);
    EXPECT_EQ(talk.say("{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[\"x\"]}}"),
              "{\"error\": {\"class\": \"GenericError\", \"desc\": \"Parameter 'null' does not "
              "accept value 'x'\"}}\r\n");
    EXPECT_EQ(talk.say("{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[\"oob\"]}}"),
              "{\"error\": {\"class\": \"GenericError\", \"desc\": \"Capability oob not "
              "available\"}}\r\n");
    EXPECT_EQ(talk.say("{\"execute\":\"query-status\"}"), expecting);
    EXPECT_FALSE(talk.client.negotiated());
    EXPECT_EQ(talk.say("{\"execute\":\"qmp_capabilities\",\"id\":7}"),
              "{\"return\": {}, \"id\": 7}\r\n");
    EXPECT_EQ(talk.say("{\"execute\":\"qmp_capabilities\",\"id\":8}"),
              "{\"id\": 8, \"error\": {\"class\": \"CommandNotFound\", \"desc\": \"Capabilities "
              "negotiation is already complete, command ignored\"}}\r\n");
    EXPECT_TRUE(talk.commands.empty());
}

TEST(ProxyClient, OutOfBandIsUnknownToIt) {
    Talk talk;
    EXPECT_EQ(talk.say("{\"exec-oob\":\"query-yank\",\"id\":1}"),
              "{\"id\": 1, \"error\": {\"class\": \"GenericError\", \"desc\": \"QMP input member "
              "'exec-oob' is unexpected\"}}\r\n");
}

TEST(ProxyClient, AnswersInOrderOneAtATime) {
    Talk talk;
    EXPECT_EQ(talk.say("{\"execute\":\"a\",\"id\":1}{\"execute\":\"b\"}{]"), "");
    ASSERT_EQ(talk.commands.size(), 1u);
    EXPECT_EQ(talk.commands[0].name, "a");
    EXPECT_TRUE(talk.client.waits_for_answer());
    talk.client.answer(json::parse(R"({"x":[1,2.5,"é"]})"));
    EXPECT_EQ(talk.say(""), "{\"return\": {\"x\": [1, 2.5, \"\\u00E9\"]}, \"id\": 1}\r\n");
    ASSERT_EQ(talk.commands.size(), 2u);
    talk.client.answer(ProxyError{"DeviceNotFound", "Device 'zz' not found"});
    EXPECT_EQ(
        talk.say(""),
        "{\"error\": {\"class\": \"DeviceNotFound\", \"desc\": \"Device 'zz' not "
        "found\"}}\r\n{\"error\": {\"class\": \"GenericError\", \"desc\": \"JSON parse error, "
        "expecting value\"}}\r\n");
    EXPECT_TRUE(talk.client.idle());
}

TEST(ProxyClient, RestoresTheId) {
    for (const std::string id :
         {"null", "1e400", "{\"a\":[1, 2]}", "18446744073709551616", "\"\""}) {
        Talk talk;
        talk.say("{\"execute\":\"a\",\"id\":" + id + "}");
        talk.client.answer(json::value(json::object()));
        EXPECT_EQ(talk.say(""), "{\"return\": {}, \"id\": " + id + "}\r\n");
    }
}

TEST(ProxyClient, ArgumentsTravelAsTheyAre) {
    Talk talk;
    talk.say("{'execute':'qom-get','arguments':{'path':'/machine','n':[1,{'x':null}]}}");
    ASSERT_EQ(talk.commands.size(), 1u);
    EXPECT_EQ(json::value(talk.commands[0].arguments),
              json::parse(R"({"path":"/machine","n":[1,{"x":null}]})"));
    EXPECT_EQ(talk.commands[0].cls, CommandClass::device_add);
}

TEST(ProxyClient, ANumberNoDoubleHoldsIsRefused) {
    Talk talk;
    EXPECT_EQ(
        talk.say("{'execute':'a','arguments':{'x':[{'y':1e400}]}}"),
        "{\"error\": {\"class\": \"GenericError\", \"desc\": \"a number in the arguments of a "
        "is too large: the proxy passes on what a double can hold\"}}\r\n");
    EXPECT_TRUE(talk.commands.empty());
}

TEST(ProxyClient, ReadOnlyRefusesHere) {
    Talk talk(ProxyMode::read_only);
    EXPECT_EQ(talk.say("{\"execute\":\"quit\"}"),
              "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"Command quit has been "
              "disabled: the proxy is read-only; [vfio] qmp_proxy = \\\"unsafe\\\" lets it "
              "pass\"}}\r\n");
    EXPECT_TRUE(talk.commands.empty());
}

TEST(ProxyClient, EventsComeAfterNegotiationWithTheirOwnTime) {
    Talk talk(ProxyMode::read_only, false);
    Event event;
    event.name = "SHUTDOWN";
    event.seconds = 1700000000;
    event.microseconds = 42;
    event.data["guest"] = false;
    talk.client.event(event);
    EXPECT_EQ(output(talk.client), "");
    talk.say("{\"execute\":\"qmp_capabilities\"}");
    talk.client.event(event);
    EXPECT_EQ(output(talk.client),
              "{\"timestamp\": {\"seconds\": 1700000000, \"microseconds\": 42}, \"event\": "
              "\"SHUTDOWN\", \"data\": {\"guest\": false}}\r\n");
    event = {};
    event.name = "STOP";
    talk.client.event(event);
    EXPECT_EQ(output(talk.client), "{\"timestamp\": {\"seconds\": -1, \"microseconds\": -1}, "
                                   "\"event\": \"STOP\"}\r\n");
}

TEST(ProxyClient, OneThatDoesNotReadIsFoundOut) {
    ProxyClient client(version(), ProxyPolicy(ProxyMode::read_only), 1000);
    client.received("{'execute':'qmp_capabilities'}{'execute':'query-a'}");
    ASSERT_TRUE(client.next());
    client.answer(json::value(std::string(5000, 'x')));
    EXPECT_FALSE(client.overrun()) << "one large answer is no fault of the client's";
    const auto before = client.unsent().size();
    Event event;
    event.name = "STOP";
    client.event(event);
    EXPECT_TRUE(client.overrun());
    EXPECT_EQ(client.unsent().size(), before);
}

TEST(ProxyClient, StopsReadingWhenMuchIsWaiting) {
    Talk talk;
    std::string many;
    for (int i = 0; i < 17; ++i)
        many += "{'execute':'a'}";
    EXPECT_TRUE(talk.client.wants_input());
    talk.say(many);
    EXPECT_FALSE(talk.client.wants_input());
    talk.client.answer(json::value(nullptr));
    talk.say("");
    EXPECT_TRUE(talk.client.wants_input());
}

TEST(ProxyClient, ADescriptorGoesWithTheCommandItCameWith) {
    const auto fd = std::make_shared<const UniqueFd>();
    const std::pair<const char*, bool> commands[] = {
        {R"({"execute":"getfd","arguments":{"fdname":"a"}})", true},
        {R"({"execute":"add-fd"})", true},
        {R"({"execute":"add-fd","arguments":{"fdset-id":1,"opaque":"x"}})", true},
        // QEMU would refuse these without taking it, and give it to the next getfd of anybody.
        {R"({"execute":"getfd"})", false},
        {R"({"execute":"getfd","arguments":{"fdname":1}})", false},
        {R"({"execute":"getfd","arguments":{"fdname":"a","x":1}})", false},
        {R"({"execute":"add-fd","arguments":{"fdset-id":"1"}})", false},
        {R"({"execute":"add-fd","arguments":{"x":"1"}})", false},
        {R"({"execute":"query-status"})", false},
    };
    for (const auto& [command, goes] : commands) {
        SCOPED_TRACE(command);
        Talk talk;
        talk.client.received(fd);
        talk.say(command);
        ASSERT_EQ(talk.commands.size(), 1u);
        EXPECT_EQ(talk.commands[0].fd, goes ? fd : nullptr);
        talk.client.answer(json::value());
        talk.say(R"({"execute":"getfd","arguments":{"fdname":"b"}})");
        ASSERT_EQ(talk.commands.size(), 2u);
        EXPECT_EQ(talk.commands[1].fd, nullptr) << "one of an earlier command";
        talk.commands.clear();
        EXPECT_EQ(fd.use_count(), 1) << "kept";
    }
}
