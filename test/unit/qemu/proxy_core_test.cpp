// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/proxy/core.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <map>

using namespace kata_vfio::qemu;
namespace json = boost::json;

namespace {

struct Proxy {
    explicit Proxy(ProxyLimits limits = {}) : core(ProxyPolicy(ProxyMode::unsafe), limits) {
        core.connected(Greeting{});
    }
    ProxyClientId client() {
        const auto id = core.join().value();
        core.received(id, "{'execute':'qmp_capabilities'}");
        (void)output(id);
        return id;
    }
    std::string output(ProxyClientId id) {
        auto* client = core.client(id);
        const std::string text(client->unsent());
        client->sent(text.size());
        return text;
    }
    ProxyCore core;
};

constexpr auto not_connected =
    "{\"error\": {\"class\": \"GenericError\", \"desc\": \"QMP backend is not connected\"}}\r\n";

} // namespace

TEST(ProxyCore, TheSeventeenthClientIsOneTooMany) {
    Proxy proxy;
    std::vector<ProxyClientId> ids;
    for (int i = 0; i < 16; ++i)
        ids.push_back(proxy.client());
    EXPECT_EQ(proxy.core.join(), std::nullopt);
    proxy.core.leave(ids[3]);
    EXPECT_TRUE(proxy.core.join());
}

TEST(ProxyCore, ManyClientsAreServedTheSame) {
    Proxy proxy;
    std::map<std::string, int> served;
    std::string greedy;
    for (int i = 0; i < 200; ++i)
        greedy += "{'execute':'greedy'}";
    proxy.core.received(proxy.client(), greedy);
    std::map<std::string, ProxyClientId> modest;
    for (int i = 0; i < 10; ++i) {
        const auto name = "modest" + std::to_string(i);
        modest[name] = proxy.client();
        proxy.core.received(modest[name], "{'execute':'" + name + "'}");
    }
    std::deque<ProxyCore::Forward> at_qemu;
    for (int i = 0; i < 440; ++i) {
        while (auto forward = proxy.core.next())
            at_qemu.push_back(std::move(*forward));
        ASSERT_LE(at_qemu.size(), ProxyScheduler::default_in_flight);
        ASSERT_FALSE(at_qemu.empty());
        const auto name = at_qemu.front().command.name;
        ++served[name];
        proxy.core.answered(at_qemu.front().ticket, json::value(nullptr));
        at_qemu.pop_front();
        if (name != "greedy") // which has sent all of its own before
            proxy.core.received(modest[name], "{'execute':'" + name + "'}");
    }
    const auto each = served["modest0"];
    EXPECT_GT(each, 30);
    for (const auto& [name, times] : served)
        EXPECT_NEAR(times, each, 1) << name;
    EXPECT_EQ(served.size(), 11u);
}

TEST(ProxyCore, TheAnswerForAClientThatLeftIsDropped) {
    Proxy proxy;
    const auto gone = proxy.client(), stays = proxy.client();
    proxy.core.received(gone, "{'execute':'a'}{'execute':'b'}");
    const auto forward = proxy.core.next();
    ASSERT_TRUE(forward);
    proxy.core.leave(gone);
    EXPECT_EQ(proxy.core.in_flight(), 1u);
    proxy.core.answered(forward->ticket, json::value(1));
    EXPECT_EQ(proxy.core.in_flight(), 0u);
    EXPECT_FALSE(proxy.core.next()) << "what it had still to send is forgotten";
    EXPECT_EQ(proxy.output(stays), "");
}

TEST(ProxyCore, EveryNegotiatedClientGetsEachEventInOrderWithItsReplies) {
    Proxy proxy;
    const auto one = proxy.client(), two = proxy.client(), silent = *proxy.core.join();
    (void)proxy.output(silent);
    proxy.core.received(one, "{'execute':'stop'}");
    const auto forward = proxy.core.next();
    Event event;
    event.name = "STOP";
    proxy.core.event(event);
    proxy.core.answered(forward->ticket, json::value(json::object()));
    event.name = "RESUME";
    proxy.core.event(event);
    const std::string time = "{\"timestamp\": {\"seconds\": -1, \"microseconds\": -1}, \"event\": ";
    EXPECT_EQ(proxy.output(one),
              time + "\"STOP\"}\r\n{\"return\": {}}\r\n" + time + "\"RESUME\"}\r\n");
    EXPECT_EQ(proxy.output(two), time + "\"STOP\"}\r\n" + time + "\"RESUME\"}\r\n");
    EXPECT_EQ(proxy.output(silent), "");
}

TEST(ProxyCore, WhileQemuIsAwayCommandsAreAnsweredSo) {
    ProxyLimits limits;
    limits.in_flight = 1;
    Proxy proxy(limits);
    const auto first = proxy.client(), second = proxy.client();
    proxy.core.received(first, "{'execute':'a'}");
    proxy.core.received(second, "{'execute':'b'}{'execute':'c'}");
    const auto forward = proxy.core.next();
    proxy.core.disconnected();
    EXPECT_EQ(proxy.output(second), std::string(not_connected) + not_connected);
    EXPECT_EQ(proxy.output(first), "") << "its command was sent: the session tells what came of it";
    proxy.core.answered(forward->ticket, ProxyError{"GenericError", "gone"});
    EXPECT_NE(proxy.output(first).find("gone"), std::string::npos);
    proxy.core.received(first, "{'execute':'d'}");
    EXPECT_EQ(proxy.output(first), not_connected);

    proxy.core.connected(Greeting{});
    proxy.core.received(first, "{'execute':'e'}");
    ASSERT_TRUE(proxy.core.next());
}
