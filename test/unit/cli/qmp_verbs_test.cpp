// SPDX-License-Identifier: Apache-2.0
#include "command.hpp"
#include "runtime-plugin/cli/qmp.hpp"
#include "runtime-plugin/cli/qmp_history.hpp"
#include "runtime-plugin/cli/qmp_text.hpp"
#include "test/fixtures/fake_qmp/fake_qmp.hpp"
#include "test/fixtures/fake_root/fake_root.hpp"

#include <gmock/gmock.h>

#include <sys/stat.h>

#include <fstream>
#include <sstream>

namespace kata_vfio::cli {
namespace {

using fake::FakeQmp;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Lines = std::vector<std::string>;

TEST(QmpVerb, OneCommand) {
    FakeQmp peer;
    peer.greeting().capabilities();
    peer.expect("qom-get", {{"path", "/m"}, {"n", 5}}).reply({{"a", 1}});
    peer.start();
    const auto done =
        command({"qmp", "--socket", peer.path(), "--raw", "qom-get", "path=/m", "n=5"});
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_EQ(done.out, "{\"a\":1}\n");
    EXPECT_EQ(peer.finish(), Lines{});
}

TEST(QmpVerb, QemusRefusalIsStatusFiveWhateverItsClass) {
    FakeQmp peer;
    peer.greeting().capabilities();
    peer.expect("device_del").error("DeviceNotFound", "Device 'zz' not found");
    peer.start();
    const auto done = command({"qmp", "--socket", peer.path(), "device_del", "id=zz"});
    EXPECT_EQ(done.status, 5);
    EXPECT_EQ(done.out, "");
    EXPECT_THAT(done.err, HasSubstr("QEMU said: Device 'zz' not found\n"));
    EXPECT_EQ(peer.finish(), Lines{});
}

/// What `qmp COMMAND` says when QEMU refuses it so, and knows these commands.
std::string misspelt(const std::string& command_word, const char* error_class, const char* desc) {
    FakeQmp peer;
    peer.greeting().capabilities();
    peer.expect(command_word).error(error_class, desc);
    peer.expect("query-commands")
        .reply(boost::json::parse(R"([{"name":"query-status"},{"name":"stop"},{"name":"quit"}])"));
    peer.start();
    const auto done = command({"qmp", "--socket", peer.path(), command_word});
    EXPECT_EQ(done.status, 5);
    EXPECT_EQ(peer.finish(), Lines{});
    return done.err;
}

TEST(QmpVerb, AMisspeltCommandNamesTheNearest) {
    const auto err =
        misspelt("query-sttus", "CommandNotFound", "The command query-sttus has not been found");
    EXPECT_THAT(err, HasSubstr("QEMU said: The command query-sttus has not been found\n"));
    EXPECT_THAT(err, HasSubstr("what to do: did you mean query-status?\n"));
    EXPECT_THAT(misspelt("xyzzy", "CommandNotFound", "The command xyzzy has not been found"),
                HasSubstr("what to do: query-commands lists those that it has\n"));
    // Of a read-only proxy, which refuses what it does not know before QEMU is asked.
    EXPECT_THAT(misspelt("qiut", "CommandNotFound",
                         "Command qiut has been disabled: the proxy is read-only"),
                HasSubstr("what to do: did you mean quit?\n"));
    EXPECT_THAT(misspelt("quit", "CommandNotFound",
                         "Command quit has been disabled: the proxy is read-only"),
                HasSubstr("what to do: this monitor is restricted"));
}

TEST(QmpVerb, AMisspeltCommandOfAScriptToo) {
    FakeQmp peer;
    peer.greeting().capabilities();
    peer.expect("stpo").error("CommandNotFound", "The command stpo has not been found");
    peer.expect("query-commands").error("GenericError", "no");
    peer.start();
    {
        QmpClient client(peer.path());
        std::istringstream in("stpo\n");
        std::ostringstream out, err;
        Io io{out, err, false};
        try {
            qmp_script(client, in, true, io);
            ADD_FAILURE() << "no failure";
        } catch (const Failure& failure) {
            EXPECT_EQ(failure.action(), "line 1");
            EXPECT_EQ(failure.verbatim(), "The command stpo has not been found");
            EXPECT_THAT(failure.advice(), HasSubstr("too old")) << "as far as is known";
        }
    }
    EXPECT_EQ(peer.finish(), Lines{});
}

TEST(QmpVerb, AWrongWordIsNotSent) {
    const auto done = command({"qmp", "--socket", "/no/such/socket", "query-status", "oops"});
    EXPECT_EQ(done.status, 2);
    EXPECT_THAT(done.err, StartsWith("kata-vfio: 'oops' is no argument\n"));
}

TEST(QmpVerb, ASandboxWithoutProxySaysWhatToSwitchOn) {
    fake::FakeRoot root;
    const auto ask = [&](const std::string& id) {
        return command({"--root", root.path().string(), "qmp", id, "query-status"});
    };
    EXPECT_EQ(ask("s1").status, 4);
    EXPECT_THAT(ask("s1").err, HasSubstr("sandbox s1 is not known here"));
    root.write("/run/kata-vfio/sandboxes/s1/state.json", "{}");
    EXPECT_EQ(ask("s1").status, 5);
    EXPECT_THAT(ask("s1").err, HasSubstr("sandbox s1 has no QMP proxy\n"));
    EXPECT_THAT(ask("s1").err, HasSubstr("set qmp_proxy = \"read-only\" (or \"unsafe\")"));
    EXPECT_THAT(ask("s1").err, Not(HasSubstr("the kernel said"))) << "nobody was asked";
    EXPECT_EQ(ask("../s1").status, 2);
    EXPECT_EQ(command({"qmp"}).status, 2);
}

TEST(QmpVerb, AScriptEndsAtItsFirstFailure) {
    FakeQmp peer;
    peer.greeting().capabilities();
    peer.expect("a").reply(1).expect("b", {{"x", true}}).error("GenericError", "no");
    peer.start();
    {
        QmpClient client(peer.path());
        std::istringstream in("# first\na\n\nb x=true\nc\n");
        std::ostringstream out, err;
        Io io{out, err, false};
        try {
            qmp_script(client, in, true, io);
            ADD_FAILURE() << "no failure";
        } catch (const Failure& failure) {
            EXPECT_EQ(failure.code(), Errc::qemu_refused);
            EXPECT_EQ(failure.action(), "line 4");
            EXPECT_EQ(failure.verbatim(), "no");
        }
        EXPECT_EQ(out.str(), "1\n");
    }
    EXPECT_EQ(peer.finish(), Lines{});
}

TEST(EventsVerb, CountsWhatMatches) {
    FakeQmp peer;
    peer.greeting().capabilities().expect("query-version").reply();
    peer.event("RESET").event("DEVICE_DELETED", {{"device", "a"}}).event("STOP");
    peer.event("DEVICE_DELETED", {{"device", "b"}}).event("DEVICE_DELETED", {{"device", "c"}});
    peer.start();
    const auto done = command(
        {"events", "--socket", peer.path(), "--match", "^DEVICE_", "--count", "2", "--json"});
    EXPECT_EQ(done.status, 0) << done.err;
    std::istringstream lines(done.out);
    Lines devices;
    for (std::string line; std::getline(lines, line);)
        devices.emplace_back(boost::json::parse(line).at("data").at("device").as_string());
    EXPECT_EQ(devices, (Lines{"a", "b"}));
    EXPECT_EQ(peer.finish(), Lines{});
}

TEST(EventsVerb, WaitsForOneUnlessToldElse) {
    FakeQmp peer;
    peer.greeting().capabilities().expect("query-version").event("STOP").reply();
    peer.start();
    const auto done = command({"events", "--socket", peer.path()});
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_THAT(done.out, testing::EndsWith(" STOP\n"));
    EXPECT_EQ(peer.finish(), Lines{});
}

TEST(EventsVerb, ATimeoutIsSix) {
    FakeQmp peer;
    peer.greeting().capabilities().expect("query-version").reply();
    peer.start();
    const auto done = command({"events", "--socket", peer.path(), "--timeout", "0"});
    EXPECT_EQ(done.status, 6);
    EXPECT_THAT(done.err, HasSubstr("within 0 s 0 of 1 events came"));
    EXPECT_EQ(peer.finish(), Lines{});
}

TEST(EventsVerb, FollowsToQemusEnd) {
    FakeQmp peer;
    peer.greeting().capabilities().expect("query-version").reply();
    peer.event("STOP").event("SHUTDOWN").close();
    peer.start();
    const auto done = command({"events", "--socket", peer.path(), "--follow"});
    EXPECT_EQ(done.status, 0);
    EXPECT_THAT(done.out, HasSubstr(" STOP\n"));
    EXPECT_THAT(done.out, HasSubstr(" SHUTDOWN\n"));
    EXPECT_THAT(done.err, HasSubstr("QEMU closed the connection"));
    EXPECT_EQ(peer.finish(), Lines{});
}

TEST(EventsVerb, AProxyWithoutQemuIsToldAtOnce) {
    FakeQmp peer;
    peer.greeting().capabilities().expect("query-version");
    peer.error("GenericError", "QMP backend is not connected");
    peer.start();
    const auto done = command({"events", "--socket", peer.path(), "--follow"});
    EXPECT_EQ(done.status, 5);
    EXPECT_THAT(done.err, HasSubstr("QEMU said: QMP backend is not connected"));
    EXPECT_EQ(peer.finish(), Lines{});
}

TEST(EventsVerb, WrongUsage) {
    EXPECT_EQ(command({"events", "--socket", "/x", "--match", "("}).status, 2);
    EXPECT_EQ(command({"events", "--socket", "/x", "--count", "0"}).status, 2);
    EXPECT_EQ(command({"events", "--socket", "/dev/null"}).status, 5);
    EXPECT_EQ(command({"events"}).status, 2);
}

TEST(QmpText, PrettyAndEvents) {
    EXPECT_EQ(pretty_json(boost::json::parse(R"({"a":[1,{"b":"x\n"}],"c":[],"d":{}})")),
              "{\n  \"a\": [\n    1,\n    {\n      \"b\": \"x\\n\"\n    }\n  ],\n  \"c\": [],\n  "
              "\"d\": {}\n}");
    qemu::Event event;
    event.name = "STOP";
    EXPECT_EQ(event_text(event), "STOP\n");
    event.seconds = 1700000000;
    event.microseconds = 42;
    event.data["x"] = 1;
    EXPECT_EQ(event_text(event), "2023-11-14T22:13:20.000042Z STOP {\"x\":1}\n");
    event.synthesised = true;
    EXPECT_EQ(event_text(event), "2023-11-14T22:13:20.000042Z STOP {\"x\":1} (synthesised)\n");
}

TEST(QmpHistory, IsKeptAndOursAlone) {
    fake::FakeRoot root;
    const auto file = root.path() / "state" / "kata-vfio" / "qmp_history";
    {
        QmpHistory history(file);
        history.add("query-status\n");
    }
    struct stat status {};
    ASSERT_EQ(::stat(file.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    ASSERT_EQ(::stat(file.parent_path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0700u);
    { QmpHistory again(file); }
    std::ifstream in(file);
    const std::string text(std::istreambuf_iterator<char>(in), {});
    EXPECT_THAT(text, HasSubstr("query-status"));
}

} // namespace
} // namespace kata_vfio::cli
