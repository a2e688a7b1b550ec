// SPDX-License-Identifier: Apache-2.0
#include "command.hpp"
#include "config/base/failure.hpp"
#include "config/base/file.hpp"
#include "config/base/utf8.hpp"
#include "runtime-plugin/cli/trace/trace_page.hpp"
#include "test/fixtures/fake_qmp/fake_machine.hpp"
#include "test/fixtures/fake_root/fake_kernel.hpp"
#include "test/fixtures/fake_root/fake_root.hpp"
#include "test/places/places.hpp"

#include <gmock/gmock.h>

#include <sys/stat.h>

#include <set>

namespace kata_vfio::cli {
namespace {

namespace json = boost::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

const auto fixture = std::string(test::fixtures_dir) + "/wire_log/attach-detach.wire.log";
constexpr auto uuid = "bbc4aafe-5807-11e8-a43e-03533cceae7d";

struct TraceVerb : testing::Test {
    TraceVerb() {
        ::unsetenv("KATA_CONF_FILE");
        ::setenv("KATA_VFIO_PLUGIN", test::library, 1);
    }
    ~TraceVerb() override { ::unsetenv("KATA_VFIO_PLUGIN"); }

    Done run(std::vector<std::string> args) const {
        args.insert(args.begin(), {"--root", root.path().string()});
        return command(args);
    }
    std::string write(const std::string& name, const std::string& text) const {
        root.write("/" + name, text);
        return root.at("/" + name).string();
    }
    fake::FakeRoot root;
};

const json::value& member_of_first(const json::value& array, std::string_view key) {
    return array.as_array().at(0).as_object().at(key);
}

/// What the page's script will read.
json::object page_data(const std::string& page) {
    const std::string open = "<script type=\"application/json\" id=\"data\">";
    const auto begin = page.find(open) + open.size();
    return json::parse(page.substr(begin, page.find("</script>", begin) - begin)).as_object();
}

Trace trace_of(const std::string& text, const std::string& device = {}) {
    qemu::WireHistory history;
    qemu::add_wire_text(history, text, "wire.log");
    return make_trace("/x/wire.log", std::move(history), device, 100000);
}

std::string exchange_lines(int number, const std::string& padding) {
    const auto n = std::to_string(number);
    return "{\"us\":" + n +
           "0,\"wall_us\":1,\"conn\":1,\"kind\":\"sent\",\"message\":{\"execute\":"
           "\"query-status\",\"id\":" +
           n + "}}\n{\"us\":" + n +
           "5,\"wall_us\":1,\"conn\":1,\"kind\":\"received\",\"message\":{\"return\":\"" + padding +
           "\",\"id\":" + n + "}}\n";
}

} // namespace

TEST_F(TraceVerb, ATimelineForPeople) {
    const auto done = run({"trace", fixture});
    EXPECT_EQ(done.status, 0);
    EXPECT_EQ(done.err, "");
    EXPECT_THAT(
        done.out,
        StartsWith(fixture +
                   ": 1 connection, 12 commands (2 refused, 1 unanswered, 1 slow), 2 events "
                   "in 9.200000 s from 2025-11-24 15:00:00 UTC\n"
                   "device vfio-bbc4aafe-5807-11e8-a43e-03533cceae7d: plugging +0.053330, "
                   "present +0.091480, unplug pending +3.200000, gone +5.271200\n"
                   "device vfio-0000.00.1f.3: plugging +0.900910, gone +0.904630\n"
                   "device vfio-0000.00.02.0: plugging +1.400000, present +2.718000\n"
                   "TIME       CONN  LATENCY           DEVICE "));
    for (const auto* line :
         {"\n+0.000000  1     -                 -                                          "
          "connected "
          "to /run/vc/vm/s1/qmp.sock\n",
          "\n+0.900910  1     3.720 ms          vfio-0000.00.1f.3                          "
          "device_add "
          "driver=vfio-pci id=vfio-0000.00.1f.3 bus=pci.0 addr=06.0 "
          "sysfsdev=/sys/bus/pci/devices/0000:00:1f.3: REFUSED GenericError: vfio 0000:00:1f.3: "
          "group 4 is not viable\n",
          " 1318.000 ms SLOW  vfio-0000.00.02.0 ", "  query-status: NO ANSWER\n",
          "  event DEVICE_DELETED device=vfio-",
          "  TORN received: {\"return\": {\"status\": \"run\n",
          "  SILENT for 2.400000 s: nothing from QEMU while query-status was out\n",
          "  LOST: QEMU closed the connection on /run/vc/vm/s1/qmp.sock\n"})
        EXPECT_THAT(done.out, HasSubstr(line));
    EXPECT_THAT(run({"trace", fixture, "--slow", "30"}).out, HasSubstr(" 38.150 ms SLOW "));
    EXPECT_THAT(run({"trace", fixture, "--slow", "2000"}).out, Not(HasSubstr("SLOW")));
}

TEST_F(TraceVerb, JsonHasItAllAndItsKeysAreDocumented) {
    const auto all = run({"trace", fixture, "--json"}).json();
    EXPECT_EQ(all.at("exchanges").as_array().size(), 12u);
    const auto& refused = all.at("exchanges").at(7).as_object();
    EXPECT_EQ(refused.at("command"), "device_add");
    EXPECT_EQ(refused.at("outcome"), "refused");
    EXPECT_EQ(refused.at("latency_us"), 3720);
    EXPECT_EQ(refused.at("desc"), "vfio 0000:00:1f.3: group 4 is not viable");
    EXPECT_EQ(refused.at("sent").at("arguments").at("addr"), "06.0");
    EXPECT_EQ(refused.at("received").at("id"), 7);
    EXPECT_EQ(refused.at("sent_at"), "attach-detach.wire.log:18");
    EXPECT_EQ(all.at("exchanges").at(11).at("received"), nullptr);
    EXPECT_EQ(all.at("events").at(0).at("event"), "DEVICE_DELETED");
    EXPECT_EQ(all.at("devices").at(2).at("phases").at(1).at("state"), "present");
    EXPECT_EQ(all.at("devices").at(2).at("phases").at(1).at("to_us"), nullptr);
    EXPECT_EQ(all.at("begin_wall_us"), 1763996400000000);

    const auto doc = read_file(std::string(test::source_dir) + "/docs/json.md").value();
    std::set<std::string> keys;
    for (const auto& [key, value] : all) {
        keys.emplace(key);
        if (value.is_array() && !value.get_array().empty() && value.get_array()[0].is_object())
            for (const auto& [inner, unused] : value.get_array()[0].get_object())
                keys.emplace(inner);
    }
    for (const auto& [key, unused] : member_of_first(all.at("devices"), "phases").at(0).as_object())
        keys.emplace(key);
    EXPECT_GT(keys.size(), 25u);
    for (const auto& key : keys)
        EXPECT_TRUE(doc.find("`" + key + "`") != std::string::npos ||
                    doc.find("\"" + key + "\"") != std::string::npos)
            << key;
}

TEST_F(TraceVerb, OneDevice) {
    const auto all = run({"trace", fixture, "--device", "vfio-0000.00.1f.3", "--json"}).json();
    ASSERT_EQ(all.at("exchanges").as_array().size(), 1u);
    EXPECT_EQ(member_of_first(all.at("exchanges"), "device"), "vfio-0000.00.1f.3");
    EXPECT_EQ(all.at("devices").as_array().size(), 1u);
    EXPECT_EQ(all.at("events").as_array().size(), 0u);
    const auto kinds = all.at("remarks").as_array();
    EXPECT_EQ(kinds.back().at("kind"), "lost") << "the connection's fate concerns every device";
    const auto vgpu =
        run({"trace", fixture, "--device", std::string("vfio-") + uuid, "--json"}).json();
    EXPECT_EQ(vgpu.at("events").as_array().size(), 1u);

    const auto unknown = run({"trace", fixture, "--device", "gpu7"});
    EXPECT_EQ(unknown.status, 4);
    EXPECT_THAT(unknown.err, HasSubstr("concerns a device 'gpu7'\n"));
    EXPECT_THAT(unknown.err, HasSubstr("what to do: the devices in it are 'vfio-bbc4aafe-5807-11e8-"
                                       "a43e-03533cceae7d', 'vfio-0000.00.1f.3' and "
                                       "'vfio-0000.00.02.0'\n"));
}

TEST_F(TraceVerb, WhatCantBeReadIsNamedAndTheRestIsShown) {
    const auto text = read_file(fixture).value();
    const auto log =
        write("damaged.log", text.substr(0, text.find('\n') + 1) + "garbage\x1b[31m\n" +
                                 text.substr(text.find('\n') + 1) + "{\"us\":1,\"wa");
    const auto done = run({"trace", log});
    EXPECT_EQ(done.status, 0);
    EXPECT_THAT(done.err, StartsWith("kata-vfio: damaged.log:2: not JSON: "));
    EXPECT_THAT(done.err, HasSubstr("kata-vfio: damaged.log:32: the last line is cut off ("));
    EXPECT_THAT(done.out, HasSubstr(": 1 connection, 12 commands "));
}

TEST_F(TraceVerb, WrongNames) {
    const auto missing = run({"trace", "/nowhere/wire.log"});
    EXPECT_EQ(missing.status, 4);
    EXPECT_THAT(missing.err, StartsWith("kata-vfio: there is no QMP log /nowhere/wire.log\n"));
    EXPECT_THAT(missing.err, HasSubstr("what to do: name a file that is there, or a sandbox"));

    root.write("/run/kata-vfio/sandboxes/sandbox-1/state.json", "{}");
    const auto nearly = run({"trace", "sandbox-2"});
    EXPECT_EQ(nearly.status, 4);
    EXPECT_THAT(nearly.err,
                StartsWith("kata-vfio: 'sandbox-2' is neither a sandbox known here nor a "
                           "file\n  what to do: did you mean sandbox-1?\n"));
    EXPECT_THAT(run({"trace", "xyz"}).err, HasSubstr("a released one's log went with it"));
    const auto off = run({"trace", "sandbox-1"});
    EXPECT_EQ(off.status, 4);
    EXPECT_THAT(off.err, HasSubstr("there is no QMP log " + root.path().string()));
    EXPECT_THAT(off.err, HasSubstr("set qmp_log = true in [vfio]"));

    EXPECT_EQ(run({"trace", fixture, "--slow", "-1"}).status, 2);
    EXPECT_EQ(run({"trace", fixture, "--slow", "soon"}).status, 2);
    EXPECT_EQ(run({"trace"}).status, 2);
    EXPECT_EQ(run({"trace", fixture, "--html", "/nowhere/x.html"}).status, 4);
}

TEST_F(TraceVerb, ThePageStandsAloneAndIsItsOwnersOnly) {
    const auto out = root.at("/page.html").string();
    const auto done = run({"trace", fixture, "--html", out});
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_THAT(done.out, StartsWith("wrote " + out + ": 1 connection, 12 commands "));
    struct stat status {};
    ASSERT_EQ(::stat(out.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0600u) << "it holds what the log holds";
    const auto page = read_file(out).value();
    EXPECT_THAT(page, Not(HasSubstr("{{")));
    for (const auto* outside : {" src=", " href=", "@import", "url(", "fetch(", "XMLHttpRequest",
                                "innerHTML", "document.write", "eval("})
        EXPECT_THAT(page, Not(HasSubstr(outside)));
    EXPECT_EQ(page_data(page).at("exchanges").as_array().size(), 12u);
    const auto again = run({"trace", fixture, "--html", out, "--json"}).json();
    EXPECT_EQ(again.at("html"), json::string(out));
    EXPECT_NE(read_file(out).value(), page) << "the nonce is a new one each time";
}

TEST(TracePage, HostileWordsAreEscapedData) {
    const std::string evil = "</script><script>alert(1)</script>&<!--";
    const auto page = trace_page(trace_of(
        "{\"us\":1,\"wall_us\":1,\"conn\":1,\"kind\":\"sent\",\"message\":{\"execute\":\"" + evil +
        "\",\"id\":1}}\n{\"us\":2,\"wall_us\":1,\"conn\":1,\"kind\":\"received\",\"text\":\"" +
        evil + "\\u00ff\",\"why\":\"not JSON\"}\n"));
    EXPECT_THAT(page, Not(HasSubstr("<script>alert")));
    EXPECT_THAT(page, Not(HasSubstr("</script><script>")));
    EXPECT_THAT(page, Not(HasSubstr("&<!--")));
    const auto data = page_data(page);
    EXPECT_EQ(data.at("exchanges").at(0).at(2), json::string(evil)) << "and come back whole";
    EXPECT_EQ(data.at("bodies").at(0), json::string(evil + "\xef\xbf\xbd"));
}

TEST(TracePage, SaysWhatItLeavesOut) {
    std::string text;
    for (int i = 1; i <= 50; ++i)
        text += exchange_lines(i, std::string(100, 'x'));
    text += exchange_lines(60, std::string(2000, 'y'));
    text += "{\"us\":1,\"wall_us\":1,\"conn\":1,\"kind\":\"received\",\"message\":{\"event\":"
            "\"STOP\"}}\n";
    PageLimits limits;
    limits.items = 40;
    limits.bodies = 4000;
    limits.one_body = 1000;
    const auto data = page_data(trace_page(trace_of(text + "bad\n"), limits));
    EXPECT_EQ(data.at("exchanges").as_array().size(), 39u);
    EXPECT_EQ(data.at("events").as_array().size(), 1u) << "though it is the oldest";
    const auto& notes = data.at("notes").as_array();
    ASSERT_EQ(notes.size(), 5u);
    EXPECT_THAT(std::string(notes[0].as_string()),
                StartsWith("12 of 52 commands, events and remarks are left out, "));
    EXPECT_THAT(std::string(notes[1].as_string()),
                HasSubstr("messages are drawn without their text"));
    EXPECT_EQ(notes[2], "1 long messages are cut; the log has them whole");
    EXPECT_EQ(notes[3], "1 lines of the log can't be read");
    EXPECT_THAT(std::string(notes[4].as_string()), StartsWith("wire.log:104: not JSON"));
    std::size_t bytes = 0;
    for (const auto& body : data.at("bodies").as_array())
        bytes += body.as_string().size();
    EXPECT_LE(bytes, 4000u);
    EXPECT_GT(bytes, 3500u);
    EXPECT_EQ(page_data(trace_page(trace_of(text))).at("notes").as_array().size(), 0u);
}

TEST(ValidUtf8, OnlyWhatIsNoneBecomesTheReplacement) {
    const std::string fine = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80";
    EXPECT_EQ(valid_utf8(fine), fine);
    const std::string bad = "\xef\xbf\xbd";
    EXPECT_EQ(valid_utf8("\xff"), bad);
    EXPECT_EQ(valid_utf8("x\xc3"), "x" + bad);
    EXPECT_EQ(valid_utf8("\xc0\xaf"), bad + bad) << "overlong";
    EXPECT_EQ(valid_utf8("\xed\xa0\x80"), bad + bad + bad) << "a surrogate";
    EXPECT_EQ(valid_utf8("\xf4\x90\x80\x80"), bad + bad + bad + bad) << "beyond U+10FFFF";
    EXPECT_EQ(valid_utf8("\xe2\x82z"), bad + bad + "z");
}

/// The verbs of a sandbox with qmp_log on, then the trace of it.
struct LoggedSandbox : TraceVerb {
    LoggedSandbox() {
        root.populate_gvt_host();
        configure("pc");
        kernel = std::make_unique<fake::FakeKernel>(root);
    }
    void configure(const std::string& type) const {
        root.write("/etc/kata-containers/configuration.toml",
                   "[hypervisor.qemu]\nmachine_type = \"" + type +
                       "\"\nhotplug_vfio_on_root_bus = true\n[vfio]\nqmp_log = true\n"
                       "qmp_log_redact = [\"sysfsdev\"]\n");
    }
    std::unique_ptr<fake::FakeKernel> kernel;
    fake::FakeMachine machine;
};

TEST_F(LoggedSandbox, EachCommandsConnectionIsInIt) {
    ASSERT_EQ(run({"sandbox", "open", "s1", "--qmp", machine.path()}).status, 0);
    ASSERT_EQ(run({"attach", "s1", "i915-GVTg_V4_8", "--uuid", uuid}).status, 0);
    ASSERT_EQ(run({"detach", "s1", uuid}).status, 0);
    const auto text = run({"trace", "s1"}).out;
    EXPECT_THAT(text, HasSubstr("/sandboxes/s1/wire.log: 3 connections, "));
    EXPECT_THAT(text, HasSubstr("device vfio-" + std::string(uuid).substr(0, 8) + ": plugging "));
    const auto all = run({"trace", "s1", "--json"}).json();
    EXPECT_EQ(all.at("problems"), json::array());
    ASSERT_EQ(all.at("devices").as_array().size(), 1u);
    std::vector<std::string> states;
    for (const auto& phase : member_of_first(all.at("devices"), "phases").as_array())
        states.emplace_back(phase.at("state").as_string());
    EXPECT_THAT(states, ElementsAre("plugging", "present", "unplug pending", "gone"));
    for (const auto& exchange : all.at("exchanges").as_array())
        if (exchange.at("command") == "device_add") {
            EXPECT_EQ(exchange.at("sent").at("arguments").at("sysfsdev"), "[redacted]");
            EXPECT_EQ(exchange.at("connection"), 2);
        }
    const auto commands = machine.commands();
    const auto plug = std::find_if(commands.begin(), commands.end(), [](const auto& command_) {
        return command_.at("execute") == "device_add";
    });
    ASSERT_NE(plug, commands.end());
    EXPECT_NE(plug->at("arguments").at("sysfsdev"), "[redacted]") << "on the wire it is whole";
    const auto log = root.at("/run/kata-vfio/sandboxes/s1/wire.log");
    struct stat status {};
    ASSERT_EQ(::stat(log.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0600u);

    ASSERT_EQ(run({"sandbox", "release", "s1"}).status, 0);
    EXPECT_FALSE(std::filesystem::exists(log));
    EXPECT_EQ(run({"trace", "s1"}).status, 4);
}

TEST_F(LoggedSandbox, ARefusedOpenLeavesNothing) {
    configure("q35");
    ASSERT_EQ(run({"sandbox", "open", "s1", "--qmp", machine.path()}).status, 3);
    configure("pc");
    ASSERT_EQ(run({"sandbox", "open", "s1", "--qmp", "/nowhere.sock"}).status, 5);
    EXPECT_FALSE(std::filesystem::exists(root.at("/run/kata-vfio/sandboxes/s1")));
}

} // namespace kata_vfio::cli
