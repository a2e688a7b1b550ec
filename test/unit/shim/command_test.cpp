// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/command/arguments.hpp"

#include "bootstrap.pb.h"
#include "config/base/failure.hpp"
#include "options.pb.h"
#include "runtime-plugin/agent/protocol/frame.hpp"
#include "runtime-plugin/cli/help/man_page.hpp"
#include "runtime-plugin/shim/command/usage.hpp"
#include "runtime-plugin/shim/log.hpp"
#include "runtime-plugin/shim/ttrpc/status.hpp"
#include "runtime-plugin/shim/vm/cgroup.hpp"
#include "runtime-plugin/shim/vm/command_line.hpp"
#include "runtime-plugin/shim/vm/mount.hpp"
#include "runtime-plugin/shim/vm/place.hpp"
#include "runtime-plugin/shim/vm/sandbox.hpp"
#include "test/unit/plugin/temp_dir.hpp"

#include <gmock/gmock.h>
#include <google/protobuf/any.pb.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace kata_vfio::shim {
namespace {
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(ShimArguments, AsContainerdWritesThem) {
    const auto a =
        parse_arguments({"-namespace", "k8s.io", "-address", "/run/c.sock", "-publish-binary",
                         "/usr/bin/containerd", "-id", "x", "-debug", "start"});
    EXPECT_EQ(a.action, Arguments::Action::start);
    EXPECT_EQ(a.containerd_namespace, "k8s.io");
    EXPECT_EQ(a.id, "x");
    EXPECT_TRUE(a.debug);
    const auto b = parse_arguments({"--namespace=ns", "-id=y", "-bundle", "/b", "delete"});
    EXPECT_EQ(b.action, Arguments::Action::remove);
    EXPECT_EQ(b.bundle, "/b");
    EXPECT_EQ(parse_arguments({"-v"}).action, Arguments::Action::version);
}

TEST(ShimArguments, HelpAndManualPageHaveWhatIsTaken) {
    const auto help = command_help();
    const auto page = cli::man_page(help, 8, "x 1", "kata-vfio(1)");
    for (const auto& option : help.options) {
        const auto& name = option.names.front();
        EXPECT_THAT(usage(), HasSubstr("  " + name));
        std::string escaped;
        for (const char c : name)
            escaped += c == '-' ? "\\-" : std::string(1, c);
        EXPECT_THAT(page, HasSubstr("\\fB" + escaped + "\\fR"));
        std::vector<std::string> words{"-namespace", "ns", "-id", "x", name};
        if (!option.value.empty())
            words.push_back("value");
        words.push_back("start");
        EXPECT_NO_THROW(parse_arguments(words)) << name;
    }
    for (const auto& verb : help.verbs) {
        EXPECT_THAT(usage(), HasSubstr("  " + verb.name));
        EXPECT_NO_THROW(parse_arguments({"-namespace", "ns", "-id", "x", verb.name}));
    }
    EXPECT_EQ(parse_arguments({"--man"}).action, Arguments::Action::man);
}

TEST(ShimArguments, WrongOnes) {
    for (const auto& words : std::initializer_list<std::vector<std::string>>{
             {},
             {"-id", "x", "start"},
             {"-namespace", "n", "start"},
             {"-id"},
             {"-what", "x"},
             {"-namespace", "n", "-id", "x", "run"},
             {"-namespace", "n", "-id", "x", "start", "start"}})
        EXPECT_THROW(parse_arguments(words), ttrpc::Error);
}

TEST(ShimArguments, OptionsOfTheRuntime) {
    runtimeoptions::v1::Options options;
    options.set_config_path("/etc/x.toml");
    google::protobuf::Any any;
    any.set_type_url("runtimeoptions.v1.Options");
    any.set_value(options.SerializeAsString());
    EXPECT_EQ(config_path_of(any.SerializeAsString()), "/etc/x.toml");
    EXPECT_EQ(config_path_of(""), "");
    EXPECT_EQ(config_path_of("\xff\xff"), "");
    containerd::runtime::bootstrap::v1::BootstrapParams parameters;
    parameters.set_containerd_ttrpc_address("/run/containerd/containerd.sock.ttrpc");
    EXPECT_EQ(config_path_of(parameters.SerializeAsString()), "");
    parameters.add_extensions()->mutable_value()->set_type_url("containerd.io/another");
    *parameters.add_extensions()->mutable_value() = any;
    // Fields 1 and 2: its id and namespace.
    EXPECT_EQ(config_path_of("\x0a\x02"
                             "c1"
                             "\x12\x06"
                             "k8s.io" +
                             parameters.SerializeAsString()),
              "/etc/x.toml");
    any.set_type_url("containerd.runc.v1.Options");
    EXPECT_EQ(config_path_of(any.SerializeAsString()), "");
}

TEST(ShimPlace, OneDirectoryForEachSandbox) {
    const vfio::HostRoot root;
    EXPECT_EQ(Place(root, "default", "c1").directory(), "/run/kata-vfio/vm/default__c1");
    EXPECT_NO_THROW(Place(root, "k8s.io", std::string(64, 'a')));
    EXPECT_THROW(Place(root, "k8s.io", std::string(76, 'a')), ttrpc::Error);
    for (const char* name : {"", "..", "a/b", "a__b", "-a", "a.", "a b"})
        EXPECT_THROW(Place(root, "ns", name), ttrpc::Error) << name;
}

TEST(ShimCgroup, IsWhereTheSpecSays) {
    const plugin::TempDir dir;
    const vfio::HostRoot root(dir.path());
    EXPECT_EQ(HostCgroup(root, "/default/c1").directory(), "") << "no unified hierarchy";
    std::filesystem::create_directories(dir.path() / "sys/fs/cgroup/default/c1");
    dir.write("sys/fs/cgroup/cgroup.controllers", "cpu memory\n");
    for (const char* none : {"", "/", "system.slice:cri:c1", "/a/../../b"})
        EXPECT_EQ(HostCgroup(root, none).directory(), "") << none;
    EXPECT_EQ(HostCgroup(root, "").why_not(), "");
    const HostCgroup group(root, "/default/c1");
    EXPECT_EQ(group.directory(), dir.path() / "sys/fs/cgroup/default/c1");
    // Here nobody but the kernel makes the file; the failure says what was tried.
    EXPECT_THROW(group.take(42), Failure);
    dir.write("sys/fs/cgroup/default/c1/cgroup.procs", "");
    group.take(42);
    EXPECT_EQ(dir.read("sys/fs/cgroup/default/c1/cgroup.procs"), "42");
    std::filesystem::remove(dir.path() / "sys/fs/cgroup/default/c1/cgroup.procs");
    group.remove();
    EXPECT_FALSE(std::filesystem::exists(dir.path() / "sys/fs/cgroup/default/c1"));
    EXPECT_TRUE(std::filesystem::exists(dir.path() / "sys/fs/cgroup/default"));
}

TEST(ShimMounts, PointsWithTheirEscapes) {
    EXPECT_THAT(
        mount_points("22 1 0:20 / /proc rw - proc proc rw\n"
                     "30 22 0:21 / /a\\040b\\134c rw shared:1 - tmpfs tmpfs rw\nshort line\n"),
        ElementsAre("/proc", "/a b\\c"));
}

TEST(ShimLog, AValueCannotForgeALine) {
    EXPECT_EQ(log_value("a\"b\nlevel=info \x1b[0m"), "\"a\\\"b\\nlevel=info \\x1b[0m\"");
    EXPECT_LT(log_value(std::string(100000, 'x')).size(), 5000u);
}

TEST(ShimVfioNode, IsTold) {
    EXPECT_TRUE(is_vfio_node("vfio/42"));
    EXPECT_TRUE(is_vfio_node("vfio/devices/vfio0"));
    EXPECT_FALSE(is_vfio_node("vfio/vfio"));
    EXPECT_FALSE(is_vfio_node("null"));
}

config::Hypervisor hypervisor() {
    config::Hypervisor h;
    h.kernel = "/k";
    h.initrd = "/i";
    h.hotplug_vfio_on_root_bus = true;
    return h;
}

TEST(ShimMachine, SizedByThePod) {
    oci::Size size;
    size.vcpus = 3;
    size.memory_mib = 512;
    const auto machine = machine_of(hypervisor(), size, 8, true);
    EXPECT_EQ(machine.vcpus, 4);
    EXPECT_EQ(machine.memory_mib, 2048 + 512);
    EXPECT_EQ(machine_of(hypervisor(), size, 2, true).vcpus, 2);
    auto all = hypervisor();
    all.default_vcpus = -1;
    EXPECT_EQ(machine_of(all, {}, 8, true).vcpus, 8);
    EXPECT_GE(memlock_bytes(machine), std::uint64_t{2560} << 20);
}

TEST(ShimMachine, WithoutKvmOnlyWhenAsked) {
    EXPECT_THROW(machine_of(hypervisor(), {}, 1, false), Failure);
    auto emulated = hypervisor();
    emulated.machine_accelerators = "accel=tcg";
    EXPECT_FALSE(machine_of(emulated, {}, 1, true).kvm);
}

TEST(ShimMachine, SharesByWhatIsConfigured) {
    auto h = hypervisor();
    EXPECT_FALSE(machine_of(h, {}, 1, true).virtio_fs);
    h.rootless = true;
    EXPECT_TRUE(machine_of(h, {}, 1, true).virtio_fs);
    h.rootless = false;
    h.shared_fs = "virtio-fs";
    h.virtio_fs_queue_size = 64;
    auto machine = machine_of(h, {}, 1, true);
    EXPECT_TRUE(machine.virtio_fs);
    machine.share_fd = 7;
    const auto args = command_line(machine);
    EXPECT_THAT(args, Contains(HasSubstr("share=on")));
    EXPECT_THAT(args, Contains(HasSubstr("queue-size=64")));
    for (const auto* katas : {"none", "virtio-fs-nydus"}) {
        h.shared_fs = katas;
        try {
            machine_of(h, {}, 1, true);
            FAIL() << "nothing was thrown";
        } catch (const Failure& failure) {
            EXPECT_EQ(failure.code(), Errc::config_invalid);
            EXPECT_THAT(failure.what(), HasSubstr(katas));
        }
    }
}

TEST(ShimMachine, CommandLine) {
    auto machine = machine_of(hypervisor(), {}, 1, true);
    machine.monitor = "/run/a,b/qmp.sock";
    machine.share = "/run/a,b/shared";
    machine.kernel_params = "x=y";
    machine.monitor_fd = 5;
    machine.agent_fd = 6;
    const auto args = command_line(machine);
    EXPECT_THAT(args, Contains("pc,accel=kvm"));
    EXPECT_THAT(args, Contains("socket,id=plugin,path=/run/a,,b/qmp.sock,server=on,wait=off"));
    EXPECT_THAT(args, Contains("-nodefaults"));
    EXPECT_THAT(args, Contains(HasSubstr("spawn=deny")));
    EXPECT_THAT(args, Contains(HasSubstr("path=/run/a,,b/shared")));
    const auto append = std::ranges::find(args, "-append");
    ASSERT_NE(append, args.end());
    EXPECT_THAT(*(append + 1), HasSubstr("quiet x=y"));
}

TEST(ShimMachine, TheAgentComesByOneWay) {
    auto machine = machine_of(hypervisor(), {}, 1, true);
    machine.agent_fd = 6;
    const auto serial = command_line(machine);
    EXPECT_THAT(serial, Contains("socket,id=agent,fd=6"));
    EXPECT_THAT(serial, Contains(HasSubstr("virtserialport")));
    EXPECT_THAT(serial, Not(Contains(HasSubstr("vsock"))));
    machine.agent_fd = -1;
    machine.vsock_fd = 9;
    machine.vsock_cid = 4242;
    machine.vsock_port = 17;
    const auto vsock = command_line(machine);
    EXPECT_THAT(vsock, Contains("vhost-vsock-pci,guest-cid=4242,vhostfd=9"));
    EXPECT_THAT(vsock, Contains(HasSubstr("kata_vfio.vsock=17")));
    EXPECT_THAT(vsock, Not(Contains(HasSubstr("serial-pci"))));
    EXPECT_THAT(vsock, Not(Contains(HasSubstr("virtserialport"))));
}

TEST(ShimMachine, TheConsoleIsKeptForDebuggingAlone) {
    auto machine = machine_of(hypervisor(), {}, 1, true);
    const auto silent = command_line(machine);
    EXPECT_THAT(silent, Not(Contains("-serial")));
    EXPECT_THAT(silent, Not(Contains("-add-fd")));
    EXPECT_THAT(silent, Not(Contains(HasSubstr("console=ttyS0"))));
    machine.debug = true;
    machine.console_fd = 8;
    for (const bool rootless : {false, true}) {
        machine.virtio_fs = rootless;
        machine.share_fd = rootless ? 7 : -1;
        machine.monitor = rootless ? "qmp.sock" : "/run/x/qmp.sock";
        const auto args = command_line(machine);
        const auto console = std::ranges::find(args, "-add-fd");
        ASSERT_GE(args.end() - console, 6);
        EXPECT_THAT(std::vector(console, console + 6),
                    ElementsAre("-add-fd", "set=1,fd=8", "-chardev",
                                "file,id=console,path=/dev/fdset/1,append=on", "-serial",
                                "chardev:console"));
        EXPECT_THAT(args, Contains(HasSubstr("console=ttyS0")));
        EXPECT_THAT(args, Not(Contains(HasSubstr("quiet"))));
    }
}

TEST(ShimMachine, CommandLineOfARootlessOne) {
    auto machine = machine_of(hypervisor(), {}, 1, true);
    machine.monitor = "qmp.sock";
    machine.virtio_fs = true;
    machine.share_fd = 7;
    const auto args = command_line(machine);
    EXPECT_THAT(args, Contains("pc,accel=kvm,memory-backend=ram"));
    EXPECT_THAT(args, Contains("memory-backend-memfd,id=ram,share=on,size=2048M"));
    EXPECT_THAT(args, Contains("socket,id=plugin,path=qmp.sock,server=on,wait=off"));
    EXPECT_THAT(args, Contains("socket,id=share,fd=7"));
    EXPECT_THAT(args, Contains("vhost-user-fs-pci,chardev=share,tag=share,queue-size=1024"));
    EXPECT_THAT(args, Not(Contains(HasSubstr("local,id=share"))));
    EXPECT_THAT(args, Contains(HasSubstr(std::string(agent::share_by_virtio_fs))));
}

} // namespace
} // namespace kata_vfio::shim
