// SPDX-License-Identifier: Apache-2.0
// qmp, events and trace with --daemon: what they print without it, where both can be had.
#include "test/fixtures/terminal/terminal.hpp"
#include "test/service/cli_world.hpp"

#include <boost/json.hpp>
#include <gmock/gmock.h>

#include <future>

namespace kata_vfio::service_test {
namespace {

namespace json = boost::json;
using ::testing::HasSubstr;

class QmpCli : public Cli {
  protected:
    void SetUp() override {
        machine->answer_with("query-version", json::object{{"package", "fake"}});
        machine->answer_with("query-commands",
                             json::parse(R"([{"name":"query-status"},{"name":"stop"}])"));
        configure("", "qmp_proxy = \"read-only\"\nqmp_log = true");
        start_with_sandbox();
    }
    std::string unknown_sandbox(const std::vector<std::string>& words) const {
        const auto printed = run(words, true);
        EXPECT_EQ(printed.status, 4) << printed.err;
        return printed.err;
    }
};

TEST_F(QmpCli, CommandsAndScriptsPrintTheSame) {
    const std::vector<std::pair<std::vector<std::string>, std::string>> all{
        {{"qmp", "sb1", "query-status"}, ""},
        {{"qmp", "sb1", "--raw", "query-pci"}, ""},
        {{"qmp", "sb1", "qom-list", "path=/machine/peripheral"}, ""},
        {{"qmp", "sb1", "stop"}, ""},       // the proxy lets nothing pass that changes
        {{"qmp", "sb1", "query-stat"}, ""}, // misspelt
        {{"--json", "qmp", "sb1", "stop"}, ""},
        {{"qmp", "sb1", "query-status", "oops"}, ""},
        {{"qmp", "sb1"}, "query-status\n# a remark\n\nquery-version\nstop\nquery-pci\n"},
    };
    for (const auto& [words, input] : all) {
        const auto one = run(words, false, input), two = run(words, true, input);
        const auto told = testing::PrintToString(words);
        EXPECT_EQ(one.status, two.status) << told << one.err << two.err;
        EXPECT_EQ(one.out, two.out) << told;
        EXPECT_EQ(one.err, two.err) << told;
    }
    EXPECT_THAT(run({"qmp", "sb1", "query-status"}, true).out, HasSubstr("\"running\""));
    EXPECT_THAT(run({"qmp", "sb1", "query-stat"}, true).err,
                HasSubstr("did you mean query-status?"));
    EXPECT_EQ(machine->count("stop"), 0u);
}

TEST_F(QmpCli, WhatTheDaemonDoesNotHave) {
    EXPECT_THAT(unknown_sandbox({"qmp", "nobody", "query-status"}), HasSubstr("nobody"));
    EXPECT_THAT(unknown_sandbox({"events", "nobody"}), HasSubstr("nobody"));
    EXPECT_THAT(unknown_sandbox({"trace", "nobody"}), HasSubstr("nobody"));
    for (const auto& words :
         std::vector<std::vector<std::string>>{{"qmp", "--socket", machine->path(), "query-status"},
                                               {"events", "--socket", machine->path()},
                                               {"trace", "/var/log/wire.log"}}) {
        const auto printed = run(words, true);
        EXPECT_EQ(printed.status, 2) << printed.err;
        EXPECT_THAT(printed.err, HasSubstr("leave --daemon out"));
    }
    daemon->signal(SIGTERM);
    EXPECT_EQ(daemon->wait(), 0);
    for (const auto& words : std::vector<std::vector<std::string>>{
             {"qmp", "sb1", "query-status"}, {"events", "sb1"}, {"trace", "sb1"}}) {
        const auto printed = run(words, true);
        EXPECT_EQ(printed.status, 4) << printed.err;
        EXPECT_THAT(printed.err, HasSubstr("what to do: "));
    }
}

TEST_F(QmpCli, EventsComeAsTheyDoFromTheProxy) {
    const auto of_both = [&](const std::vector<std::string>& words, int lines) {
        const auto asked = machine->count("query-version");
        auto one = std::async(std::launch::async, [&] { return run(words, false); });
        auto two = std::async(std::launch::async, [&] { return run(words, true); });
        machine->wait_count("query-version", asked + 2); // both listen
        machine->emit("RTC_CHANGE", {{"offset", 1}});
        machine->emit("DEVICE_DELETED", {{"device", "a"}, {"path", "/machine/peripheral/a"}});
        machine->emit("RTC_CHANGE", {{"offset", 2}});
        const auto printed = one.get();
        const auto by_daemon = two.get();
        EXPECT_EQ(printed.status, 0) << printed.err;
        EXPECT_EQ(by_daemon.status, 0) << by_daemon.err;
        EXPECT_EQ(printed.out, by_daemon.out);
        EXPECT_EQ(std::ranges::count(by_daemon.out, '\n'), lines) << by_daemon.out;
        return by_daemon.out;
    };
    EXPECT_THAT(of_both({"events", "sb1", "--timeout", "60"}, 1), HasSubstr("RTC_CHANGE"));
    EXPECT_THAT(of_both({"events", "sb1", "--match", "^DEVICE", "--timeout", "60"}, 1),
                HasSubstr("/machine/peripheral/a"));
    const auto out = of_both({"--json", "events", "sb1", "--count", "3", "--timeout", "60"}, 3);
    EXPECT_EQ(json::parse(out.substr(0, out.find('\n'))).at("data").at("offset"), 1);
}

TEST_F(QmpCli, EventsEndWithQemuAndWithTheDaemon) {
    const auto follow = [&](const auto& end) {
        const auto asked = machine->count("query-version");
        auto following = std::async(std::launch::async, [&] {
            return run({"events", "sb1", "--follow"}, true);
        });
        machine->wait_count("query-version", asked + 1);
        machine->emit("RTC_CHANGE", {{"offset", 7}});
        end();
        return following.get();
    };
    // Another daemon will serve, and QEMU may say more: not the end of what is followed.
    const auto by_daemon = follow([&] {
        daemon->signal(SIGTERM);
        EXPECT_EQ(daemon->wait(), 0);
    });
    EXPECT_EQ(by_daemon.status, 4);
    EXPECT_THAT(by_daemon.err, HasSubstr("kata-vfiod is ending"));
    start_daemon();
    open();
    const auto by_qemu = follow([&] { machine->kill(); });
    EXPECT_EQ(by_qemu.status, 0);
    // Behind it on its way, unlike a signal to the daemon.
    EXPECT_THAT(by_qemu.out, HasSubstr("RTC_CHANGE {\"offset\":7}"));
    EXPECT_THAT(by_qemu.err, HasSubstr("kata-vfio: "));
}

TEST_F(QmpCli, AShellOnATerminal) {
    const auto home = directory.string();
    test::Terminal terminal(
        {std::string(test::binary_dir) + "/bin/kata-vfio", "--daemon", address(), "qmp", "sb1"},
        {"TERM=xterm", "HOME=" + home, "XDG_STATE_HOME=" + home + "/state"});
    terminal.until("connected to QEMU ");
    terminal.prompt("(QEMU) ");
    terminal.type("query-status\r");
    EXPECT_THAT(terminal.prompt("(QEMU) "), HasSubstr("\"status\": \"running\""));
    terminal.type("stop\r");
    EXPECT_THAT(terminal.prompt("(QEMU) "), HasSubstr("the proxy is read-only"));
    machine->emit("RTC_CHANGE", {{"offset", 3}});
    EXPECT_THAT(terminal.until("{\"offset\":3}"), HasSubstr("RTC_CHANGE"));
    terminal.prompt("(QEMU) ");
    // Ctrl-C ends the waiting, not the shell, and the end waits for no answer.
    machine->block_on("query-pci");
    terminal.type("query-pci\r");
    machine->wait_blocked();
    terminal.type("\x03");
    EXPECT_THAT(terminal.prompt("(QEMU) "), HasSubstr("cancelled"));
    terminal.type("\x04");
    terminal.rest();
    EXPECT_EQ(terminal.status(), 0);
    machine->unblock();
}

TEST_F(QmpCli, TraceDrawsTheSame) {
    ASSERT_TRUE(attach(type8, uuid_a).ok());
    ASSERT_TRUE(detach(uuid_a).ok());
    const auto drawn = [&](bool by_daemon) {
        const auto printed = run({"--json", "trace", "sb1"}, by_daemon);
        EXPECT_EQ(printed.status, 0) << printed.err;
        return json::parse(printed.out).as_object();
    };
    auto one = drawn(false), two = drawn(true);
    EXPECT_GT(two.at("exchanges").as_array().size(), 5u);
    // The same but for where a record is: a line of a file, or the number of what came.
    const std::function<void(json::value&)> without_places = [&](json::value& value) {
        if (auto* array = value.if_array())
            for (auto& each : *array)
                without_places(each);
        if (auto* object = value.if_object()) {
            for (const auto* key : {"at", "sent_at", "received_at", "log", "files"})
                object->erase(key);
            for (auto& member : *object)
                without_places(member.value());
        }
    };
    json::value first = one, second = two;
    without_places(first);
    without_places(second);
    EXPECT_EQ(first, second);
    const auto page = (directory / "trace.html").string();
    EXPECT_THAT(run({"trace", "sb1", "--html", page}, true).out, HasSubstr("commands"));
    EXPECT_GT(std::filesystem::file_size(page), 10000u);
    const auto none = run({"trace", "sb1", "--device", "nothing"}, true);
    EXPECT_EQ(none.status, 4);
    EXPECT_THAT(none.err, HasSubstr("nothing in sandbox sb1 concerns a device 'nothing'"));
}

} // namespace
} // namespace kata_vfio::service_test
