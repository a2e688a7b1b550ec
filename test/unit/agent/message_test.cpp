// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/agent/protocol/message.hpp"

#include <boost/json.hpp>
#include <gtest/gtest.h>

namespace kata_vfio::agent {
namespace {

ContainerSpec container() {
    ContainerSpec spec;
    spec.id = "c1";
    spec.root = "c1.rootfs";
    spec.hostname = "box";
    spec.read_only = true;
    spec.mounts.push_back({MountSpec::Origin::kernel, "/proc", "proc", "proc", {"nosuid"}});
    spec.mounts.push_back({MountSpec::Origin::share, "/etc/hosts", "bind", "c1.mount1", {"rbind"}});
    spec.mounts.push_back({MountSpec::Origin::guest, "/dev", "bind", "/dev", {"rbind"}});
    spec.devices.push_back({"/dev/fuse", 0660, 1, 2, true});
    spec.plugged = {"0000:00:0f.0"};
    spec.masked = {"/proc/kcore"};
    spec.read_only_paths = {"/proc/sys"};
    spec.limits = {256u << 20, 0, 50000, 100000, 79, 100};
    spec.pod_pids = spec.pod_ipc = true;
    spec.process.args = {"sh", "-c", "echo \"hi\""};
    spec.process.env = {"PATH=/bin", "X="};
    spec.process.uid = 1000;
    spec.process.groups = {5, 4294967295u};
    spec.process.umask = 022;
    spec.process.capabilities.bounding = 0x1ffffffffffu;
    spec.process.limits.push_back({7, 1024, UINT64_MAX});
    spec.process.no_new_privileges = true;
    spec.process.terminal = true;
    spec.process.rows = 50;
    spec.process.oom_score = -998;
    spec.process.seccomp = SeccompFilter{4, std::string("\x06\0\0\0\0\0\xff\x7f", 8)};
    return spec;
}

TEST(AgentMessage, AContainerComesOutAsItWentIn) {
    const auto sent = to_payload(Request{3, Start{9, container()}});
    const auto read = parse_request(sent);
    EXPECT_EQ(read.id, 3u);
    const auto& call = std::get<Start>(read.call);
    EXPECT_EQ(call.process, 9u);
    EXPECT_EQ(call.container.mounts[2].origin, MountSpec::Origin::guest);
    EXPECT_EQ(call.container.process.args[2], "echo \"hi\"");
    EXPECT_EQ(call.container.process.limits[0].hard, UINT64_MAX);
    EXPECT_EQ(call.container.process.oom_score, -998);
    EXPECT_EQ(call.container.process.seccomp, container().process.seccomp);
    // All of it, not only what is named here.
    EXPECT_EQ(to_payload(read), sent);
}

TEST(AgentMessage, EveryCallComesOutAsItWentIn) {
    for (const auto& call : std::initializer_list<Call>{
             Exec{2, "c1", container().process}, Signal{2, 9, true}, Resize{2, 24, 80},
             Remove{"c1"}, Pids{"c1"}, Stats{"c1"}, Update{"c1", container().limits},
             AwaitDevice{"0000:00:02.0", 5000, true}, PowerOff{}}) {
        const auto sent = to_payload(Request{1, call});
        const auto read = parse_request(sent);
        EXPECT_EQ(read.call.index(), call.index()) << sent;
        EXPECT_EQ(to_payload(read), sent);
    }
}

/// `path` of the start request set to `value`, as the agent then takes it.
void expect_refused(const char* pointer, boost::json::value value) {
    auto json = boost::json::parse(to_payload(Request{3, Start{9, container()}}));
    boost::system::error_code ec;
    auto* member = json.find_pointer(pointer, ec);
    ASSERT_TRUE(member) << pointer;
    *member = std::move(value);
    EXPECT_THROW(parse_request(boost::json::serialize(json)), ProtocolError) << pointer;
}

TEST(AgentMessage, RefusesNamesThatArePaths) {
    for (const char* name : {"", ".", "..", "../c2", "a/b", "/"}) {
        expect_refused("/container/id", name);
        expect_refused("/container/root", name);
        expect_refused("/container/mounts/1/source", name);
        expect_refused("/container/plugged/0", name);
    }
    expect_refused("/container/id", boost::json::string(256, 'a'));
    expect_refused("/container/id", boost::json::string("a\0b", 3));
}

TEST(AgentMessage, RefusesWhatIsOutOfRange) {
    expect_refused("/process", 0);
    expect_refused("/process", -1);
    expect_refused("/process", 4294967296);
    expect_refused("/container/process/uid", 1.5);
    expect_refused("/container/process/umask", 01000);
    expect_refused("/container/process/limits/0/resource", 16);
    expect_refused("/container/process/oom_score", 1001);
    expect_refused("/container/process/seccomp/flags", 8); // a listener
    for (const std::string program : {"", "06000000", "0600000000000zff", "060000000000FF7f"})
        expect_refused("/container/process/seccomp/program", boost::json::string(program));
    expect_refused("/container/process/seccomp/program", boost::json::string(65536 + 16, '0'));
    expect_refused("/container/process/args", boost::json::array());
    expect_refused("/container/process/cwd", "relative");
    expect_refused("/container/process/env/0", boost::json::string((128u << 10) + 1, 'x'));
    expect_refused("/container/mounts/0/origin", "host");
    expect_refused("/container/mounts/0/destination", "proc");
    expect_refused("/container/hostname", boost::json::string(65, 'h'));
    expect_refused("/call", "run_on_host");
}

TEST(AgentMessage, RefusesWhatIsNoMessage) {
    std::string deep(100, '[');
    for (const auto& text :
         {std::string(""), std::string("[]"), std::string("null"), std::string("{\"id\":1}"),
          std::string("{\"id\":1,\"value\":[]}"), std::string("{\"id\":\"1\",\"value\":{}}"),
          std::string("{\"id\":1,\"value\":{}}trailing"), deep,
          std::string("{\"id\":1,\"error\":{}}"),
          std::string("{\"id\":1,\"error\":{\"text\":\"\"}}"),
          std::string("{\"id\":1,\"error\":{\"text\":\"x\",\"number\":99999}}"),
          std::string("{\"id\":1,\"value\":{\"a\":\"\xff\"}}")})
        EXPECT_THROW(parse_reply(text), ProtocolError) << text;
    EXPECT_EQ(parse_reply(R"({"id":1,"error":{"text":"no","number":2}})").error, "no");
}

TEST(AgentMessage, RefusesAReportWithForeignTypes) {
    const auto object = [](const char* text) { return boost::json::parse(text).as_object(); };
    EXPECT_THROW(parse_device_report(object(R"({"driver":5})")), ProtocolError);
    EXPECT_THROW(parse_device_report(object(R"({"nodes":"dri/card0"})")), ProtocolError);
    EXPECT_THROW(parse_usage(object(R"({"memory":-1})")), ProtocolError);
    EXPECT_EQ(parse_usage(object(R"({"memory":18446744073709551615})")).memory, UINT64_MAX);
    EXPECT_EQ(parse_device_report(object(R"({"nodes":null})")).nodes.size(), 0u);
}

} // namespace
} // namespace kata_vfio::agent
