// SPDX-License-Identifier: Apache-2.0
#include "qemu/machine.hpp"
#include "qemu/qmp/error.hpp"
#include "qemu/qmp/session.hpp"
#include "qemu_process.hpp"
#include "test/fixtures/fake_qmp/proxy_host.hpp"
#include "test/fixtures/fake_qmp/raw_client.hpp"
#include "test/fixtures/fake_qmp/run.hpp"
#include "test/places/places.hpp"

#include <boost/json/object.hpp>
#include <gtest/gtest.h>

#include <deque>
#include <string>

using namespace kata_vfio;
using namespace kata_vfio::qemu;
using behaviour::QemuProcess;
using behaviour::run_program;
using fake::ProxyHost;
using fake::RawClient;
using fake::run;
namespace asio = boost::asio;

// What people use on a monitor, unmodified, on QEMU and on the proxy.

namespace {

class ProxyTools : public testing::Test {
  protected:
    /// The program's output on QEMU's own monitor, but that QEMU's capabilities are left out.
    std::string on_qemu(const std::string& script) { return output(script, qemu_.monitor(0)); }
    std::string on_proxy(const std::string& script) { return output(script, proxy_); }

    static std::string output(const std::string& script, const std::string& socket) {
        const auto done = run_program({"timeout", "60", "sh", "-c", script, "sh", socket});
        EXPECT_EQ(done.status, 0) << script << ": " << done.output;
        auto text = done.output;
        if (const auto oob = text.find("\"capabilities\": [\"oob\"]"); oob != text.npos)
            text.erase(oob + 17, 5);
        return text;
    }

    QemuProcess qemu_{"pc", {"-S"}, 2};
    std::string proxy_ = qemu_.directory() + "/proxy.sock";
    ProxyHost host_{qemu_.monitor(1), proxy_, ProxyMode::unsafe};
};

constexpr auto commands =
    R"(printf '{"execute":"qmp_capabilities"}\n{"execute":"query-status"}\n{]\n)"
    R"({"execute":"query-version","id":"v"}{"execute":"nope"}' | )";

Timeouts patient() {
    Timeouts timeouts;
    timeouts.greeting = timeouts.query = timeouts.device_add = timeouts.device_del =
        std::chrono::seconds(60);
    return timeouts;
}

} // namespace

TEST_F(ProxyTools, Netcat) {
    const auto script = std::string(commands) + "nc -N -U \"$1\"";
    const auto qemu = on_qemu(script);
    EXPECT_NE(qemu.find("The command nope has not been found"), qemu.npos) << qemu;
    EXPECT_EQ(on_proxy(script), qemu);
}

TEST_F(ProxyTools, Socat) {
    const auto script = std::string(commands) + "socat -t 30 - UNIX-CONNECT:\"$1\"";
    const auto qemu = on_qemu(script);
    EXPECT_NE(qemu.find("The command nope has not been found"), qemu.npos) << qemu;
    EXPECT_EQ(on_proxy(script), qemu);
}

TEST_F(ProxyTools, QmpShell) {
    const std::string package = std::string(test::binary_dir) + "/qemu.qmp";
    const auto got = run_program({"timeout", "60", "sh", "-c",
                                  "test -d \"$1/qemu/qmp\" || python3 -m pip install --quiet "
                                  "--no-deps --target \"$1\" qemu.qmp==0.0.3",
                                  "sh", package});
    if (got.status != 0)
        GTEST_SKIP() << "qmp-shell: pip can't get the package qemu.qmp (status " << got.status
                     << ")";
    const auto script = "printf 'query-status\\nquery-version\\nqom-get path=/machine "
                        "property=type\\nnope\\n' | PYTHONPATH='" +
                        package + "' python3 -m qemu.qmp.qmp_shell \"$1\"";
    const auto qemu = on_qemu(script);
    EXPECT_NE(qemu.find("prelaunch"), qemu.npos) << qemu;
    EXPECT_EQ(on_proxy(script), qemu);
}

// The bytes of qmp-shell, for where it is not to be had: its user's commands have no id.
TEST_F(ProxyTools, WhatQmpShellSends) {
    RawClient client(proxy_);
    EXPECT_TRUE(client.line().starts_with("{\"QMP\": "));
    EXPECT_EQ(client.ask(R"({"execute":"qmp_capabilities","arguments":{}})"),
              "{\"return\": {}}\r\n");
    const auto known =
        client.ask(R"({"execute":"query-commands","arguments":{},"id":"__qmp#00000"})");
    EXPECT_TRUE(known.starts_with("{\"return\": [{\"name\": ")) << known.substr(0, 80);
    EXPECT_TRUE(known.ends_with("], \"id\": \"__qmp#00000\"}\r\n"));
    // QEMU 9 and later have no "singlestep" between the two.
    const auto status = client.ask(R"({"execute":"query-status","arguments":{}})");
    EXPECT_TRUE(status.starts_with("{\"return\": {\"status\": \"prelaunch\", ")) << status;
    EXPECT_TRUE(status.ends_with("\"running\": false}}\r\n")) << status;
}

TEST_F(ProxyTools, OurOwnSession) {
    run([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(proxy_, patient());
        EXPECT_GE(session->greeting().major, 7);
        EXPECT_TRUE(session->greeting().capabilities.empty());
        const auto machine = co_await require_pc_machine(*session);
        EXPECT_TRUE(machine.starts_with("pc-i440fx-")) << machine;
        auto schema = Command("query-qmp-schema");
        const auto types = co_await session->execute(std::move(schema));
        EXPECT_GT(types.as_array().size(), 500u);

        auto waiter = session->arm([](const Event& event) { return event.name == "RESUME"; });
        auto cont = Command("cont");
        co_await session->execute(std::move(cont));
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
        const auto resumed = co_await waiter.wait_until(deadline);
        EXPECT_TRUE(resumed && resumed->seconds > 0);

        boost::json::object mouse{{"driver", "virtio-mouse-pci"}, {"id", "m0"}};
        auto add = device_add(mouse);
        co_await session->execute(std::move(add));
        auto again = device_add(mouse);
        std::optional<QmpFailure> refused;
        try {
            co_await session->execute(std::move(again));
        } catch (const QmpFailure& failure) {
            refused = failure;
        }
        EXPECT_TRUE(refused && refused->refusal() == Refusal::duplicate_id);
        EXPECT_EQ(session->counters().unknown, 0u);
        EXPECT_EQ(session->counters().bad, 0u);
    });
    EXPECT_EQ(host_.tainted(), (std::vector<std::string>{"cont", "device_add", "device_add"}));
    EXPECT_EQ(host_.devices(), std::vector<std::string>{"device_add m0"});
}

TEST_F(ProxyTools, SixteenClientsAtOnceAreAllAnsweredInOrder) {
    std::deque<RawClient> clients;
    std::string many;
    const int each = 50;
    for (int i = 0; i < each; ++i)
        many += "{\"execute\":\"query-status\",\"id\":" + std::to_string(i) + "}";
    for (int i = 0; i < 16; ++i)
        clients.emplace_back(proxy_).negotiate().send(many);
    for (auto& client : clients)
        for (int i = 0; i < each; ++i) {
            const auto answer = client.line();
            ASSERT_TRUE(answer.ends_with("\"id\": " + std::to_string(i) + "}\r\n")) << answer;
        }
}
