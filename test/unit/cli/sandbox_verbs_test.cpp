// SPDX-License-Identifier: Apache-2.0
// The verbs of a sandbox, whole: the command, the plugin loaded from its library, a played kernel
// and a simulated pc machine.
#include "awaited_stream.hpp"
#include "command_world.hpp"

#include <gmock/gmock.h>

#include <csignal>
#include <thread>

namespace kata_vfio::cli {
namespace {

namespace json = boost::json;
using testing::HasSubstr;

constexpr auto gpu = "0000:00:02.0";
constexpr auto type = "i915-GVTg_V4_8";
constexpr auto uuid = "bbc4aafe-5807-11e8-a43e-03533cceae7d";

struct SandboxVerbs : SandboxWorld {
    SandboxVerbs() { play(); }
};

TEST_F(SandboxVerbs, OpenAttachListDetachRelease) {
    const auto opened = ok({"sandbox", "open", "s1", "--qmp", machine.path()});
    EXPECT_EQ(opened.at("sandbox"), "s1");
    EXPECT_EQ(opened.at("machine"), "pc-i440fx-7.2");

    const auto attached = ok({"attach", "s1", type, "--uuid", uuid});
    EXPECT_EQ(attached.at("uuid"), uuid);
    const auto address = attached.at("guest_address").as_string();
    EXPECT_THAT(std::string(address), testing::MatchesRegex("0000:00:[0-9a-f]{2}\\.0"));
    const auto& one = attached.at("attachments").as_array().at(0).as_object();
    EXPECT_EQ(one.at("kind"), "mdev");
    EXPECT_EQ(one.at("host_address"), gpu);
    EXPECT_EQ(one.at("owned"), true);
    EXPECT_EQ(machine.devices(),
              std::vector<std::string>{"vfio-" + std::string(uuid).substr(0, 8)});

    const auto listed = ok({"list", "s1"}).at("sandboxes").as_array();
    ASSERT_EQ(listed.size(), 1u);
    EXPECT_EQ(listed[0].at("attachments").at(0).at("guest_address"), address);
    EXPECT_THAT(run({"list"}).out,
                HasSubstr(std::string(address) + "   vfio-" + std::string(uuid).substr(0, 8)));
    EXPECT_THAT(run({"vgpus"}).out, HasSubstr("present  s1\n"));

    EXPECT_EQ(run({"detach", "s1", uuid}).out, "detached vGPU " + std::string(uuid) +
                                                   " from guest address " + std::string(address) +
                                                   "\n");
    EXPECT_EQ(machine.devices(), std::vector<std::string>{});
    EXPECT_EQ(ok({"vgpus"}).at("vgpus"), json::array());
    const auto bound = ok({"attach", "s1", gpu});
    EXPECT_TRUE(bound.at("uuid").is_null());
    EXPECT_EQ(bound.at("attachments").at(0).at("kind"), "pci");

    const auto released = ok({"sandbox", "release", "s1"});
    EXPECT_EQ(released.at("released"), true);
    EXPECT_EQ(released.at("detached").as_array().size(), 1u);
    EXPECT_EQ(ok({"list"}).at("sandboxes"), json::array());
    EXPECT_EQ(ok({"gpus"}).at("functions").at(0).at("driver"), "i915");
}

TEST_F(SandboxVerbs, ASecondOpenSaysThatItIsOne) {
    const auto first = run({"sandbox", "open", "s1", "--qmp", machine.path()});
    EXPECT_EQ(first.status, 0) << first.err;
    EXPECT_EQ(first.err, "");
    ok({"attach", "s1", type, "--uuid", uuid});
    for (const auto& args :
         {std::vector<std::string>{"sandbox", "open", "s1", "--qmp", machine.path()},
          {"sandbox", "open", "s1"}}) {
        const auto second = run(args);
        EXPECT_EQ(second.status, 0) << second.err;
        EXPECT_EQ(second.err, "kata-vfio: sandbox s1 was open already, with the same QMP socket\n");
        EXPECT_EQ(second.out.substr(0, second.out.find("attachments")),
                  first.out.substr(0, first.out.find("attachments")));
    }
    const auto as_json = ok({"sandbox", "open", "s1"});
    EXPECT_EQ(as_json.at("opened_before"), true);
    EXPECT_EQ(as_json.at("qmp_socket_before"), json::string(machine.path()));

    // With nothing attached another QEMU takes its place, and that is told too.
    ok({"detach", "s1", uuid});
    fake::FakeMachine other;
    const auto moved = run({"sandbox", "open", "s1", "--qmp", other.path()});
    EXPECT_EQ(moved.status, 0) << moved.err;
    EXPECT_EQ(moved.err, "kata-vfio: sandbox s1 was open already, with another QMP socket: " +
                             machine.path() + "\n");
    const auto fresh = ok({"sandbox", "open", "s2", "--qmp", machine.path()});
    EXPECT_EQ(fresh.at("opened_before"), false);
    EXPECT_TRUE(fresh.at("qmp_socket_before").is_null());
}

TEST_F(SandboxVerbs, DryRunChangesNothingAndShowsTheQmp) {
    open();
    const auto plan = run({"attach", "s1", type, "--uuid", uuid, "--dry-run"});
    EXPECT_EQ(plan.status, 0) << plan.err;
    EXPECT_THAT(plan.out, HasSubstr("create vGPU " + std::string(uuid)));
    EXPECT_THAT(plan.out, HasSubstr("{\"execute\":\"device_add\",\"arguments\":{"));
    EXPECT_THAT(plan.out, HasSubstr("\"sysfsdev\":\"/sys/bus/mdev/devices/" + std::string(uuid)));
    EXPECT_EQ(machine.count("device_add"), 0u);
    EXPECT_EQ(ok({"vgpus"}).at("vgpus"), json::array());
    const auto as_json = ok({"attach", "s1", type, "--dry-run"});
    EXPECT_EQ(as_json.at("dry_run"), true);
    EXPECT_TRUE(as_json.at("steps").is_array());
}

TEST_F(SandboxVerbs, Reconcile) {
    const auto nothing = run({"reconcile"});
    EXPECT_EQ(nothing.status, 0) << nothing.err;
    EXPECT_EQ(nothing.out,
              "no sandbox is known, and no vGPU or function on VFIO is on this host\n");

    open();
    ok({"attach", "s1", type, "--uuid", uuid});
    machine.kill();
    root.write("/run/kata-vfio/claims/group-78", "{\"v\":2}\n");
    const auto dry = run({"reconcile", "--dry-run"});
    EXPECT_EQ(dry.status, 0) << dry.err;
    EXPECT_THAT(dry.out, HasSubstr("nothing was changed; reconcile would come to this:"));
    EXPECT_THAT(dry.out, HasSubstr("s1       pending"));
    EXPECT_THAT(dry.out, HasSubstr("group-78 would be put aside: "));
    EXPECT_TRUE(root.exists("/sys/bus/mdev/devices/" + std::string(uuid)));

    const auto done = run({"reconcile"});
    EXPECT_EQ(done.status, 4) << done.err; // for the claim that was put aside
    EXPECT_THAT(done.out, HasSubstr("s1       given_back"));
    EXPECT_THAT(done.out, HasSubstr("s1: remove_vgpu " + std::string(uuid) + " (made for vfio-"));
    EXPECT_THAT(done.out, HasSubstr("/quarantine/group-78: "));
    EXPECT_FALSE(root.exists("/sys/bus/mdev/devices/" + std::string(uuid)));
    EXPECT_EQ(ok({"reconcile"}).at("sandboxes").as_array().size(), 0u);
    EXPECT_EQ(run({"reconcile", "s9"}).status, 4);
}

TEST_F(SandboxVerbs, ExitStatusesAndTexts) {
    configure("", "q35");
    auto refused = run({"sandbox", "open", "s1", "--qmp", machine.path()});
    EXPECT_EQ(refused.status, 3);
    EXPECT_THAT(refused.err, HasSubstr("kata-vfio: open sandbox s1: "));
    EXPECT_THAT(refused.err, HasSubstr("machine_type"));
    EXPECT_THAT(refused.err, HasSubstr("  what to do: "));
    configure("", "pc");

    EXPECT_EQ(run({"sandbox", "open", "../x", "--qmp", machine.path()}).status, 2);
    EXPECT_EQ(run({"sandbox", "open", "s1", "--qmp", "/no/such.sock"}).status, 5);
    EXPECT_EQ(run({"attach", "never", gpu}).status, 4);
    open();
    EXPECT_EQ(run({"attach", "s1", "00:02.0"}).status, 2);
    EXPECT_EQ(run({"attach", "s1", "0000:00:1f.7"}).status, 4);
    EXPECT_EQ(run({"detach", "s1", gpu}).status, 4);
    EXPECT_EQ(run({"list", "s2"}).status, 4);
    machine.refuse_device_add("vfio 0000:00:02.0: no");
    const auto qemu = run({"attach", "s1", gpu, "--json"});
    EXPECT_EQ(qemu.status, 5);
    EXPECT_THAT(qemu.err, HasSubstr("  QEMU said: vfio 0000:00:02.0: no\n"));
    EXPECT_EQ(qemu.json().at("error").at("said"), "vfio 0000:00:02.0: no");
    machine.refuse_device_add("");
    EXPECT_EQ(run({"sandbox", "release", "s1"}).status, 0);
}

TEST_F(SandboxVerbs, TheLiveMachineDecides) {
    fake::FakeMachine::Options options;
    options.machine = "pc-q35-7.2-machine";
    fake::FakeMachine q35(options);
    const auto refused = run({"sandbox", "open", "q", "--qmp", q35.path()});
    EXPECT_EQ(refused.status, 3);
    EXPECT_THAT(refused.err, HasSubstr("q35"));
}

TEST_F(SandboxVerbs, VerboseTellsEachStep) {
    open();
    const auto attached = run({"-v", "attach", "s1", type, "--uuid", uuid});
    EXPECT_EQ(attached.status, 0);
    EXPECT_THAT(attached.err, HasSubstr(" s  create vGPU " + std::string(uuid)));
    EXPECT_THAT(attached.err, HasSubstr(" s  plug vfio-" + std::string(uuid).substr(0, 8)));
    const auto first = attached.err.find("create vGPU");
    EXPECT_EQ(attached.err.find("create vGPU", first + 1), std::string::npos)
        << "the plugin's log of the same step: " << attached.err;
}

TEST_F(SandboxVerbs, AnnotationsReachThePolicy) {
    const auto refused = run({"sandbox", "open", "s1", "--qmp", machine.path(), "--annotation",
                              "io.katacontainers.config.hypervisor.machine_type=q35"});
    EXPECT_EQ(refused.status, 3);
    EXPECT_THAT(refused.err, HasSubstr("machine_type"));
}

/// A command on a thread of its own, to which signals are sent as a terminal would.
struct Running {
    explicit Running(std::vector<std::string> arguments) : args(std::move(arguments)) {
        thread = std::thread([this] {
            std::ostream out_stream(&out), err_stream(&err);
            Io io{out_stream, err_stream, false};
            status = run(args, io);
        });
    }
    void interrupt() { ::pthread_kill(thread.native_handle(), SIGINT); }

    std::vector<std::string> args;
    AwaitedBuffer out, err;
    int status = -1;
    std::thread thread;
};

TEST_F(SandboxVerbs, CtrlCUndoesASecondOneDoesNotCutThatShort) {
    open();
    machine.block_on("device_add");
    Running attach(with_root({"attach", "s1", type, "--uuid", uuid}));
    machine.wait_blocked();
    attach.interrupt();
    attach.err.wait_for("kata-vfio: cancelling: what was done is being undone\n");
    attach.interrupt();
    attach.err.wait_for("kata-vfio: still undoing");
    machine.unblock();
    attach.thread.join();
    EXPECT_EQ(attach.status, 130) << attach.err.text();
    EXPECT_EQ(attach.out.text(), "");
    EXPECT_THAT(attach.err.text(),
                HasSubstr("kata-vfio: undone: create vGPU " + std::string(uuid)));
    EXPECT_THAT(attach.err.text(), HasSubstr("kata-vfio: undone: plug vfio-"));
    EXPECT_EQ(machine.devices(), std::vector<std::string>{});
    EXPECT_EQ(ok({"vgpus"}).at("vgpus"), json::array());
    EXPECT_EQ(ok({"list"}).at("sandboxes").at(0).at("attachments"), json::array());
}

TEST_F(SandboxVerbs, CtrlCWhileASandboxIsOpened) {
    machine.block_on("qom-get");
    Running opening(with_root({"sandbox", "open", "s1", "--qmp", machine.path(), "--json"}));
    machine.wait_blocked();
    opening.interrupt();
    opening.thread.join();
    machine.unblock();
    EXPECT_EQ(opening.status, 130) << opening.err.text();
    EXPECT_EQ(json::parse(opening.out.text()).at("error").at("name"), "cancelled");
    EXPECT_EQ(ok({"list"}).at("sandboxes"), json::array());
}

} // namespace
} // namespace kata_vfio::cli
