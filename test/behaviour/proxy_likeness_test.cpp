// SPDX-License-Identifier: Apache-2.0
#include "qemu_process.hpp"
#include "test/fixtures/fake_qmp/proxy_host.hpp"
#include "test/fixtures/fake_qmp/raw_client.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

using namespace kata_vfio;
using behaviour::QemuProcess;
using fake::ProxyHost;
using fake::RawClient;
using namespace std::string_literals;

// A client must not be able to tell the proxy from QEMU: the same bytes go to a monitor of the
// QEMU under test and to a proxy over another monitor of the same QEMU, and the same bytes must
// come back.

namespace {

constexpr auto mark = "no-such-command-at-the-end";
const auto sentinel = "\n{\"execute\":\""s + mark + "\"}\n";

class Likeness : public testing::Test {
  protected:
    struct Answers {
        std::string greeting, qemu, proxy;
    };

    static std::string ask(const std::string& path, bool negotiated, const std::string& input) {
        RawClient client(path);
        if (negotiated)
            client.negotiate();
        else
            (void)client.line();
        client.send(input + sentinel);
        // Before negotiation the mark is answered without its name.
        return client.until(negotiated ? mark : "Expecting capabilities");
    }

    void same(const std::string& input, bool negotiated = true) {
        SCOPED_TRACE(input.substr(0, 100));
        EXPECT_EQ(ask(proxy_, negotiated, input), ask(qemu_.monitor(0), negotiated, input));
    }
    /// Where they differ on purpose: what each says in front of the mark's answer.
    void differ(const std::string& input, const std::string& qemu, const std::string& proxy) {
        SCOPED_TRACE(input);
        const auto end = "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"The command "s +
                         mark + " has not been found\"}}\r\n";
        EXPECT_EQ(ask(qemu_.monitor(0), true, input), qemu + "\r\n" + end);
        EXPECT_EQ(ask(proxy_, true, input), proxy + "\r\n" + end);
    }

    QemuProcess qemu_{"pc", {"-S"}, 2};
    std::string proxy_ = qemu_.directory() + "/proxy.sock";
    ProxyHost host_{qemu_.monitor(1), proxy_, qemu::ProxyMode::unsafe};
};

} // namespace

TEST_F(Likeness, Greeting) {
    auto qemu = RawClient(qemu_.monitor(0)).line();
    const auto oob = qemu.find("\"oob\"");
    ASSERT_NE(oob, qemu.npos) << qemu;
    EXPECT_EQ(RawClient(proxy_).line(), qemu.erase(oob, 5)) << "the same but for the capabilities";
}

TEST_F(Likeness, Negotiation) {
    for (const std::string input :
         {R"({"execute":"query-status","id":1})", "{]", "{}", "[]",
          R"({"exec-oob":"query-status"})",
          R"({"execute":"qmp_capabilities","arguments":{"enable":["foo"]},"id":"x"})",
          R"({"execute":"qmp_capabilities","arguments":{"enable":"foo"}})",
          R"({"execute":"qmp_capabilities","arguments":{"enable":null}})",
          R"({"execute":"qmp_capabilities","arguments":{"enable":[1]}})",
          R"({"execute":"qmp_capabilities","arguments":{"enable":["oob",{}]}})",
          R"({"execute":"qmp_capabilities","arguments":{"x":[1]}})",
          R"({"execute":"qmp_capabilities","arguments":{"enable":[],"x":1}})",
          R"({"execute":"qmp_capabilities","arguments":[]})", R"({"exec-oob":"qmp_capabilities"})"})
        same(input, false);
    for (const std::string input :
         {R"({"execute":"qmp_capabilities","id":1})", R"({"execute":"qmp_capabilities"})",
          R"({"execute":"qmp_capabilities","arguments":{"enable":["foo"]}})",
          R"({"execute":"qmp_capabilities","arguments":{"x":1}})"})
        same(input);
}

TEST_F(Likeness, Dispatch) {
    for (const std::string input :
         {"null",
          "{}",
          R"({"id":5})",
          "[]",
          "\"x\"",
          "5 ",
          "1e400 ",
          "true ",
          "{\"execute\":true}",
          R"({"execute":"query-status","arguments":[]})",
          R"({"execute":"query-status","x":1})",
          R"({"exec-oob":"query-status"})",
          R"({"exec-oob":"query-status","execute":"query-status"})",
          R"({"execute":""})",
          "{\"execute\":\"x\xc3\xa9y\"}",
          R"({"execute":"x\u0000y"})",
          R"({"execute":"query-status"}{"execute":"query-version","id":2})",
          R"({"execute":"query-version","arguments":{"x":1}})",
          R"({"execute":"qom-get","arguments":{}})",
          R"({"execute":"device_del","arguments":{"id":"zz"},"id":"e"})",
          R"({"execute":"query-commands"})",
          R"({"execute":"query-qmp-schema","id":7})",
          R"({"execute":"query-pci"})",
          R"({"execute":"query-machines"})",
          R"({"execute":"query-cpu-definitions"})",

          R"({"execute":"qom-list","arguments":{"path":"/machine"}})",
          R"({"execute":"qom-get","arguments":{"path":"/machine","property":"type"}})",
          R"({"execute":"device-list-properties","arguments":{"typename":"vfio-pci"}})",
          R"({'execute':'human-monitor-command','arguments':{'command-line':'info version'}})",
          R"({'execute':'qom-get','arguments':{'path':'/no\'such','property':"\u00e9 \" \\ \/"}})"})
        same(input);
}

TEST_F(Likeness, Complaints) {
    for (const auto& input : {"{]"s,
                              "{\xff"s,
                              "\xff"s,
                              "\xff\xff\xff"s,
                              "{\x02"s,
                              "{'bad \xff"s,
                              "{\"a\x03\"}"s,
                              "{\"a\":1,\"a\":2}"s,
                              "{\"execute\":\"query-status\", /*c*/ \"id\":5}"s,
                              "GET / HTTP/1.1\r\nHost: x\r\n"s,
                              "{\"execute\" \"query-status\"}"s,
                              "{\"execute\":}"s,
                              "{\"execute\":\"query-status\",}"s,
                              "{\"execute\":\"a\" \"b\"}"s,
                              "{1:2}"s,
                              "{nope:1}"s,
                              "[1,]"s,
                              "[,]"s,
                              "[1 2]"s,
                              "{\"a\":[1 2]}"s,
                              "{\"a\":01}"s,
                              "{\"a\":-}"s,
                              "{\"a\":1.}"s,
                              "{\"a\":1e}"s,
                              "{\"a\":1e+}"s,
                              "{\"a\":.5}"s,
                              "{\"a\":+1}"s,
                              "{\"a\":\"\\x\"}"s,
                              "{\"a\":\"\\u12\"}"s,
                              "{\"a\":\"\\u12345\"}"s,
                              "{\"a\":\"\\u123g\"}"s,
                              "{\"a\":\"\\ud800\"}"s,
                              "{\"a\":\"\\ud800\\u0041\"}"s,
                              "{\"a\":\"\\udc00\"}"s,
                              "{\"a\":\"\\ufffe\"}"s,
                              "{\"a\":\"\\ufdd0\"}"s,
                              "{\"a\":\"\xc3\"}"s,
                              "{\"a\":\"\xc0\x80\"}"s,
                              "{\"a\":\"\xc1\x81\"}"s,
                              "{\"a\":\"\xed\xa0\x80\"}"s,
                              "{\"a\":\"\xf5\x80\x80\x80\"}"s,
                              "{\"a\":\"\xef\xbf\xbf\"}"s,
                              "{\"a\":\"\\u0000\"}"s,
                              "%p"s,
                              "{\"a\":%p}"s,
                              "{\"a\":\"%p\"}"s,
                              "}"s,
                              "]"s,
                              ","s,
                              ":"s,
                              "True "s,
                              "truex "s,
                              "{\"a\":nul}"s,
                              "{\"a\":}]"s,
                              "\"a\n"s,
                              "-x"s,
                              "0123"s,
                              "1x"s,
                              "/"s,
                              "//// ///\n"s,
                              "#a b,c"s,
                              "\0"s,
                              "\x1b"s,
                              "\x80\x81"s,
                              "\xfe"s,
                              "{\"a\":1}}"s,
                              "[1]]"s,
                              "{\"x\"\xff"s,
                              "\t\r\n \x0b"s,
                              "{\"\xc3\x28\x01"s,
                              "{'a':'\\\"'}"s,
                              "\"\\"s + "\x01"s,
                              "{\"a\":" + std::string(1100, 'y') + "}",
                              "[}\xff"s,
                              "{\"a\":[}]}"s,
                              "{[:]}"s,
                              "{\"execute\":\"query-status\"}\xff{\"execute\":\"query-status\"}"s,
                              "\"\xe2\x82\x01"s,
                              "[\"\\\xc3\xa9\"]"s,
                              "{\"a\":'\\u12'}"s})
        same(input);
}

TEST_F(Likeness, Ids) {
    for (const std::string id :
         {"null", "0", "1", "-1", "18446744073709551615", "-9223372036854775808", "true", "\"\"",
          "\"<&>/ ~\"", "\"a\\u00E9\\uD83D\\uDE00\\n\\t\\\\\\\"\"", "[]", "{}",
          "[1, [2, {\"a\": \"b\"}]]", "'single'", "'it\\'s \"so\"'",
          "\"\xc3\xa9 \x7f \xf0\x9f\x98\x80\"", "[1,\n2]"}) {
        same("{\"execute\":\"query-status\",\"id\":" + id + "}");
        same("{\"execute\":\"no-such\",\"id\":" + id + "}");
        same("{\"id\":" + id + "}");
    }
    same("{\"execute\":\"query-status\",\"arguments\":{},\"id\":" + std::string(60, '[') +
         std::string(60, ']') + "}");
}

// QEMU echoes by value, the proxy by text.
TEST_F(Likeness, IdsThatQemuChanges) {
    const auto with = [](const std::string& id) {
        return "{\"execute\":\"stop\",\"id\":" + id + "}";
    };
    const auto answer = [](const std::string& id) {
        return "{\"return\": {}, \"id\": " + id + "}";
    };
    differ(with("-0"), answer("0"), answer("-0"));
    differ(with("1e400"), answer("inf"), answer("1e400"));
    differ(with("18446744073709551616"), answer("1.8446744073709552e+19"),
           answer("18446744073709551616"));
    differ(with("0.10"), answer("0.10000000000000001"), answer("0.10"));
    differ(with("\"\\u00e9\\/\""), answer("\"\\u00E9/\""), answer("\"\\u00e9\\/\""));
    differ(with("[1,2]"), answer("[1, 2]"), answer("[1,2]"));
}

TEST_F(Likeness, TwoHundredAtOnceAreAnsweredInOrder) {
    std::string input;
    for (int i = 0; i < 200; ++i)
        input += "{\"execute\":\"query-status\",\"id\":" + std::to_string(i) + "}";
    same(input);
}

TEST_F(Likeness, EventsAndTheirOrder) {
    // Both see the same events, at the same times, as one QEMU sends them to both its monitors.
    RawClient direct(qemu_.monitor(0)), proxied(proxy_);
    direct.negotiate();
    proxied.negotiate();
    proxied.send(R"({"execute":"cont"}{"execute":"stop"}{"execute":"system_reset"})");
    std::vector<std::string> events;
    int returned = 0;
    while (returned < 3 || events.size() < 3) {
        const auto line = proxied.line();
        if (line == "{\"return\": {}}\r\n")
            ++returned;
        else
            events.push_back(line);
    }
    for (const auto& event : events)
        EXPECT_EQ(direct.line(), event);
    EXPECT_NE(events[0].find("\"RESUME\""), std::string::npos) << events[0];
    EXPECT_NE(events[1].find("\"STOP\""), std::string::npos) << events[1];
    EXPECT_NE(events[2].find("\"RESET\", \"data\": {\"guest\": false, \"reason\": "),
              std::string::npos)
        << events[2];
}

TEST_F(Likeness, HalfCloseStillGetsTheReply) {
    const auto talk = [](const std::string& path) {
        RawClient client(path);
        client.negotiate().send(R"({"execute":"query-status"})");
        client.shut_down_writing();
        return client.until_eof();
    };
    EXPECT_EQ(talk(proxy_), talk(qemu_.monitor(0)));
}

TEST_F(Likeness, QuitIsEventReplyAndEof) {
    RawClient direct(qemu_.monitor(0)), proxied(proxy_);
    direct.negotiate();
    proxied.negotiate();
    proxied.send(R"({"execute":"quit","id":"q"})");
    const auto last = proxied.until_eof();
    const auto event = direct.until_eof();
    EXPECT_NE(event.find("SHUTDOWN"), std::string::npos);
    EXPECT_EQ(last, event + "{\"return\": {}, \"id\": \"q\"}\r\n");
}

TEST_F(Likeness, AKilledQemuIsEof) {
    RawClient client(proxy_);
    client.negotiate();
    qemu_.kill();
    EXPECT_EQ(client.until_eof(), "");
}
