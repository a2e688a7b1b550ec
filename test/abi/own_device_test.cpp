// SPDX-License-Identifier: Apache-2.0
// Devices that a sandbox asks for itself, by annotation or configuration: they live as long as it.
#include "config/base/unique_fd.hpp"
#include "test/abi/world.hpp"

#include <boost/json.hpp>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/file.h>

namespace kata_vfio::abi_test {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int owner = 4242;

class OwnDevice : public World {
  protected:
    void SetUp() override { machine->fill_bus(3); }

    static PluginHost::Annotations ask(std::map<std::string, std::string> names) {
        PluginHost::Annotations annotations;
        for (auto& [name, value] : names)
            annotations["io.katacontainers.config.hypervisor." + name] = value;
        return annotations;
    }
    static PluginHost::Annotations vgpu() { return ask({{"vgpu_type", std::string(type8)}}); }

    Answer open(const PluginHost::Annotations& annotations, std::int64_t pid = 0) {
        auto answer = host->open("sb1", machine->path(), annotations, pid);
        sandbox = answer.sandbox;
        return answer;
    }
    /// Opening is refused, and nothing is left of it but the state directory.
    Answer refused(const PluginHost::Annotations& annotations, kata_vfio_status_t status) {
        const auto earlier = host_side();
        auto answer = open(annotations);
        EXPECT_EQ(library().status_name(answer.status), std::string(library().status_name(status)))
            << answer.message;
        EXPECT_TRUE(answer.action.starts_with("open sandbox sb1")) << answer.action;
        EXPECT_EQ(difference(earlier, host_side()), "");
        EXPECT_EQ(names("/run/kata-vfio/sandboxes"), "");
        EXPECT_EQ(names("/run/kata-vfio/claims"), "");
        EXPECT_THAT(plugged(), IsEmpty());
        return answer;
    }
    Snapshot host_side() const {
        auto tree = snapshot();
        std::erase_if(tree.entries, [](const auto& entry) {
            return entry.first.starts_with("run") || entry.first.starts_with("proc");
        });
        return tree;
    }
    std::vector<Attached> attached() const {
        const auto listed = host->list("sb1");
        EXPECT_TRUE(listed.ok()) << listed;
        return listed.attachments;
    }
    std::string vgpus() const { return names("/sys/bus/mdev/devices"); }
    unsigned left() const {
        return static_cast<unsigned>(std::stoul(
            root.read("/sys/class/mdev_bus/" + std::string(gpu) + "/mdev_supported_types/" +
                      std::string(type8) + "/available_instances")));
    }
};

TEST_F(OwnDevice, AVgpuIsMadeAndPluggedWhenTheSandboxIsOpened) {
    start();
    const auto before = host_side();
    ASSERT_TRUE(open(vgpu()).ok());
    const auto has = attached();
    ASSERT_EQ(has.size(), 1u);
    EXPECT_EQ(has[0].device, type8);
    EXPECT_EQ(has[0].guest_address, "0000:00:05.0");
    EXPECT_EQ(has[0].flags, unsigned{KATA_VFIO_ATTACHMENT_OWN});
    EXPECT_TRUE(has[0].owned);
    EXPECT_EQ(vgpus(), has[0].uuid);
    EXPECT_THAT(plugged(), ElementsAre(has[0].id));
    EXPECT_EQ(left(), 6u);

    EXPECT_TRUE(host->release("sb1").ok());
    EXPECT_EQ(difference(before, host_side()), "");
    EXPECT_EQ(left(), 7u);
}

TEST_F(OwnDevice, OpenedAgainItHasTheSame) {
    start();
    ASSERT_TRUE(open(vgpu()).ok());
    const auto uuid = vgpus();
    host->close(sandbox);
    ASSERT_TRUE(open({}).ok());
    EXPECT_EQ(vgpus(), uuid);
    host->close(sandbox);
    ASSERT_TRUE(open(vgpu()).ok()); // as a runtime that was restarted does
    EXPECT_EQ(vgpus(), uuid);

    EXPECT_TRUE(host->detach(sandbox, type8).ok());
    host->close(sandbox);
    ASSERT_TRUE(open(vgpu()).ok());
    EXPECT_EQ(vgpus(), "") << "what was detached comes back";
}

TEST_F(OwnDevice, AGpuIsBoundAndPlugged) {
    start();
    const auto before = host_side();
    ASSERT_TRUE(open(ask({{"gpu", std::string(gpu)}})).ok());
    EXPECT_EQ(driver_of(gpu), "vfio-pci");
    ASSERT_EQ(attached().size(), 1u);
    EXPECT_EQ(attached()[0].guest_address, "0000:00:05.0");
    EXPECT_TRUE(host->release("sb1").ok());
    EXPECT_EQ(driver_of(gpu), "i915");
    EXPECT_EQ(difference(before, host_side()), "");
}

TEST_F(OwnDevice, TheConfigurationAsksForEverySandbox) {
    configure(configuration("vgpu = { low_gm = \"128MB\", resolution = \"1920x1200\" }"));
    start();
    ASSERT_TRUE(open({}).ok());
    ASSERT_EQ(attached().size(), 1u);
    EXPECT_EQ(attached()[0].mdev_type, "i915-GVTg_V4_4");
    EXPECT_EQ(attached()[0].device, "vgpu:low_gm=128MB,resolution=1920x1200");
}

TEST_F(OwnDevice, AnAnnotationGoesOverTheFile) {
    configure(configuration("vgpu = { low_gm = \"128MB\" }"));
    start();
    ASSERT_TRUE(open(ask({{"vgpu_low_gm", "256MB"}})).ok());
    ASSERT_EQ(attached().size(), 1u);
    EXPECT_EQ(attached()[0].mdev_type, "i915-GVTg_V4_2");
}

TEST_F(OwnDevice, WhatIsNotEnabledOrNotAllowedIsRefused) {
    configure("[hypervisor.qemu]\nhotplug_vfio_on_root_bus = true\n"
              "enable_annotations = [\"vgpu\", \"type\"]\n");
    start();
    auto answer = refused(vgpu(), KATA_VFIO_E_ANNOTATION_REFUSED);
    EXPECT_THAT(answer.remedy, HasSubstr("add \"vgpu_type\" to enable_annotations"));
    EXPECT_EQ(machine->count("qmp_capabilities"), 0u);

    host.reset();
    configure(configuration("allowed_types = [\"i915-GVTg_V4_4\"]\nallowed_devices = []"));
    host = std::make_unique<PluginHost>(config, root.path());
    answer = refused(vgpu(), KATA_VFIO_E_NOT_ALLOWED);
    EXPECT_THAT(answer.blocker, HasSubstr("allowed_types"));
    answer = refused(ask({{"gpu", std::string(gpu)}}), KATA_VFIO_E_NOT_ALLOWED);
    EXPECT_THAT(answer.blocker, HasSubstr("allowed_devices"));
}

TEST_F(OwnDevice, AnAnnotationNamesATypeAndNothingElse) {
    root.populate_mdev(std::string(gpu), std::string(type8), std::string(uuid_b), 9);
    start();
    for (const auto& name : {std::string(uuid_b), std::string(gpu)})
        refused(ask({{"vgpu_type", name}}), KATA_VFIO_E_MALFORMED_DEVICE);
    for (const auto& name : {std::string("/dev/vfio/9"), std::string("x,keep=true")})
        refused(ask({{"vgpu_type", name}}), KATA_VFIO_E_CONFIG_INVALID);
    refused(ask({{"gpu", std::string(uuid_b)}}), KATA_VFIO_E_MALFORMED_ADDRESS);
    refused(ask({{"vgpu_type", "no-such"}}), KATA_VFIO_E_TYPE_NOT_FOUND);
    refused(ask({{"vgpu_type", std::string(type8)}, {"vgpu_parent", "no-such"}}),
            KATA_VFIO_E_PARENT_NOT_FOUND);
}

TEST_F(OwnDevice, NoRoomForIt) {
    root.populate_mdev(std::string(gpu), "i915-GVTg_V4_2", std::string(uuid_b), 9);
    start();
    const auto answer = refused(ask({{"vgpu_type", "i915-GVTg_V4_2"}}), KATA_VFIO_E_NO_INSTANCES);
    EXPECT_THAT(answer.blocker, HasSubstr(std::string(uuid_b)));
}

TEST_F(OwnDevice, QemuRefusesIt) {
    start();
    machine->refuse_device_add("not today");
    EXPECT_EQ(refused(vgpu(), KATA_VFIO_E_QEMU_REFUSED).said, "not today");
    refused(ask({{"gpu", std::string(gpu)}}), KATA_VFIO_E_QEMU_REFUSED);
    // The second of two fails: the first goes back as well.
    machine->refuse_device_add("");
    refused(ask({{"vgpu_type", std::string(type8)}, {"gpu", "0000:00:1e.0"}}),
            KATA_VFIO_E_DEVICE_NOT_FOUND);
}

TEST_F(OwnDevice, BeforeTheGuestRunsItIsMadeAndThenPlugged) {
    machine->set_run_state("prelaunch");
    start();
    ASSERT_TRUE(open(vgpu()).ok());
    auto has = attached();
    ASSERT_EQ(has.size(), 1u);
    EXPECT_EQ(has[0].flags,
              unsigned{KATA_VFIO_ATTACHMENT_OWN} | unsigned{KATA_VFIO_ATTACHMENT_PREPARED});
    EXPECT_EQ(has[0].guest_address, "");
    EXPECT_EQ(vgpus(), has[0].uuid);
    EXPECT_THAT(plugged(), IsEmpty());
    EXPECT_EQ(left(), 6u);

    machine->set_run_state("running");
    machine->wait_count("device_add", 1);
    ASSERT_TRUE(host->reconcile(false, "sb1").ok()); // takes its turn behind the plug
    has = attached();
    ASSERT_EQ(has.size(), 1u);
    EXPECT_EQ(has[0].flags, unsigned{KATA_VFIO_ATTACHMENT_OWN});
    EXPECT_EQ(has[0].guest_address, "0000:00:05.0");
    EXPECT_TRUE(host->release("sb1").ok());
    EXPECT_EQ(vgpus(), "");
}

// Another process is at work on the sandbox when the guest is started: its device follows when that
// one lets go, and not only when somebody opens the sandbox anew.
TEST_F(OwnDevice, TheGuestIsStartedWhileAnotherProcessHasTheSandbox) {
    machine->set_run_state("prelaunch");
    start();
    ASSERT_TRUE(open(vgpu()).ok());
    const auto file = root.at("/run/kata-vfio/sandboxes/sb1/lock");
    const auto hold = [&] {
        UniqueFd fd(::open(file.c_str(), O_RDWR | O_CLOEXEC));
        EXPECT_EQ(::flock(fd.get(), LOCK_EX | LOCK_NB), 0);
        return fd;
    };
    UniqueFd held = hold(); // an open file of its own: as good as another process's
    machine->set_run_state("running");
    host->wait_log("sandbox sb1 waits: another process is changing sandbox sb1");
    EXPECT_EQ(machine->count("device_add"), 0u);
    held.reset();
    machine->wait_count("device_add", 1);
    ASSERT_TRUE(host->reconcile(false, "sb1").ok()); // takes its turn behind the plug
    EXPECT_EQ(attached().at(0).guest_address, "0000:00:05.0");
    EXPECT_TRUE(host->release("sb1").ok());
}

// .. and who closes the sandbox meanwhile does not wait for that.
TEST_F(OwnDevice, AWaitForAnotherProcessEndsWithTheHandle) {
    machine->set_run_state("prelaunch");
    start();
    ASSERT_TRUE(open(vgpu()).ok());
    const UniqueFd held(
        ::open(root.at("/run/kata-vfio/sandboxes/sb1/lock").c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_EQ(::flock(held.get(), LOCK_EX | LOCK_NB), 0);
    machine->set_run_state("running");
    host->wait_log("sandbox sb1 waits: another process is changing sandbox sb1");
    machine->emit("RESUME", {});         // started twice: two wait
    ASSERT_TRUE(host->list("sb1").ok()); // behind it
    host->close(sandbox);
    host.reset();
    EXPECT_EQ(machine->count("device_add"), 0u);
}

TEST_F(OwnDevice, AProcessThatComesLaterPlugsIt) {
    machine->set_run_state("prelaunch");
    start();
    ASSERT_TRUE(open(vgpu()).ok());
    host.reset();
    machine->set_run_state("running");
    host = std::make_unique<PluginHost>(config, root.path());
    ASSERT_TRUE(open({}).ok());
    ASSERT_EQ(attached().size(), 1u);
    EXPECT_EQ(attached()[0].guest_address, "0000:00:05.0");
}

TEST_F(OwnDevice, AnOpenThatIsCancelledLeavesNothing) {
    start();
    for (const char* step : {"create vGPU", "plug vfio-"}) {
        const auto earlier = host_side();
        host->cancel_at(step);
        const auto answer = open(vgpu());
        EXPECT_EQ(answer.status, KATA_VFIO_E_CANCELLED) << answer;
        host->at_step("", {});
        EXPECT_EQ(difference(earlier, host_side()), "");
        EXPECT_EQ(names("/run/kata-vfio/sandboxes"), "") << step;
        EXPECT_THAT(plugged(), IsEmpty());
    }
}

// Of one that was opened before, what it has must not become out of reach.
TEST_F(OwnDevice, WhatCantBePluggedCanBeDetached) {
    machine->set_run_state("prelaunch");
    start();
    ASSERT_TRUE(open(vgpu()).ok());
    host->close(sandbox);
    machine->set_run_state("running");
    machine->refuse_device_add("not today");
    ASSERT_TRUE(open({}).ok());
    EXPECT_EQ(attached().at(0).flags & KATA_VFIO_ATTACHMENT_PREPARED,
              unsigned{KATA_VFIO_ATTACHMENT_PREPARED});
    EXPECT_TRUE(host->detach(sandbox, type8).ok());
    EXPECT_EQ(vgpus(), "");
}

TEST_F(OwnDevice, ReleasedBeforeTheGuestRuns) {
    machine->set_run_state("prelaunch");
    start();
    const auto before = host_side();
    ASSERT_TRUE(open(vgpu()).ok());
    EXPECT_TRUE(host->release("sb1").ok());
    EXPECT_EQ(difference(before, host_side()), "");
    EXPECT_EQ(machine->count("device_del"), 0u);
}

TEST_F(OwnDevice, ItGoesWithQemu) {
    fake::FunctionSpec nic;
    nic.address = "0000:03:00.0";
    nic.driver = "e1000e";
    nic.group = 5;
    root.populate_function(nic);
    start();
    const auto before = host_side();
    ASSERT_TRUE(open(vgpu()).ok());
    ASSERT_TRUE(host->attach(sandbox, nic.address).ok());
    machine->kill();
    host->wait_log("its own devices are given back");
    EXPECT_EQ(vgpus(), "");
    // What an attach brought is the caller's to give back.
    ASSERT_EQ(attached().size(), 1u);
    EXPECT_EQ(attached()[0].host_address, nic.address);
    EXPECT_TRUE(host->release("sb1").ok());
    EXPECT_EQ(difference(before, host_side()), "");
}

TEST_F(OwnDevice, ItGoesWithItsOwner) {
    start();
    const auto stat = "/proc/" + std::to_string(owner) + "/stat";
    const auto before = host_side();
    root.write(stat, "4242 (shim) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 555 0\n");
    ASSERT_TRUE(open(vgpu(), owner).ok());
    auto answer = host->reconcile();
    EXPECT_EQ(answer.json.at("sandboxes").at(0).at("verdict").as_string(), "kept");

    root.remove_holder(owner);
    answer = host->reconcile(true);
    EXPECT_NE(answer.json.at("sandboxes").at(0).at("verdict").as_string(), "kept");
    EXPECT_EQ(plugged().size(), 1u);
    answer = host->reconcile();
    EXPECT_EQ(answer.json.at("sandboxes").at(0).at("verdict").as_string(), "given_back");
    EXPECT_THAT(
        std::string(answer.json.at("sandboxes").at(0).at("actions").at(0).at("why").as_string()),
        HasSubstr("its owner, pid 4242, is gone"));
    EXPECT_THAT(plugged(), IsEmpty());
    EXPECT_EQ(names("/run/kata-vfio/sandboxes"), "");
    EXPECT_EQ(difference(before, host_side()), "");
}

TEST_F(OwnDevice, AnOwnerThatDoesNotRunIsRefused) {
    start();
    const auto answer = open(vgpu(), owner);
    EXPECT_EQ(answer.status, KATA_VFIO_E_INVALID_ARGUMENT);
    EXPECT_THAT(answer.problem, HasSubstr("pid 4242, does not run"));
    EXPECT_EQ(names("/run/kata-vfio/sandboxes"), "");
    EXPECT_THROW(host->open("sb1", machine->path(), {}, -1), std::runtime_error);
}

TEST_F(OwnDevice, KeptItIsHandedOver) {
    start();
    auto asked = vgpu();
    asked.merge(ask({{"vgpu_keep", "true"}}));
    ASSERT_TRUE(open(asked).ok());
    const auto uuid = vgpus();
    EXPECT_EQ(attached()[0].flags,
              unsigned{KATA_VFIO_ATTACHMENT_OWN} | unsigned{KATA_VFIO_ATTACHMENT_KEEP});
    EXPECT_FALSE(attached()[0].owned);
    EXPECT_TRUE(host->release("sb1").ok());
    EXPECT_EQ(vgpus(), uuid);
    EXPECT_EQ(names("/run/kata-vfio/claims"), "");
    // It is a foreign one from now on, which any sandbox may get by its UUID.
    const auto answer = host->reconcile();
    EXPECT_EQ(answer.json.at("devices").at(0).at("owner").as_string(), "foreign");
    EXPECT_EQ(vgpus(), uuid);
}

TEST_F(OwnDevice, AnAttachCanHandOneOverToo) {
    start();
    ASSERT_TRUE(open({}).ok());
    const auto made = host->attach(sandbox, type8, uuid_a, KATA_VFIO_ATTACH_KEEP);
    ASSERT_TRUE(made.ok()) << made;
    EXPECT_FALSE(made.attachments[0].owned);
    ASSERT_TRUE(host->detach(sandbox, type8).ok());
    EXPECT_EQ(vgpus(), uuid_a);
    EXPECT_EQ(host->attach(sandbox, uuid_a, {}, KATA_VFIO_ATTACH_KEEP).status,
              KATA_VFIO_E_INVALID_ARGUMENT);
    EXPECT_EQ(host->attach(sandbox, gpu, {}, KATA_VFIO_ATTACH_KEEP).status,
              KATA_VFIO_E_INVALID_ARGUMENT);
    // One that could not be attached is not kept.
    machine->refuse_device_add("no");
    EXPECT_FALSE(host->attach(sandbox, type8, uuid_b, KATA_VFIO_ATTACH_KEEP).ok());
    EXPECT_EQ(vgpus(), uuid_a);
}

} // namespace
} // namespace kata_vfio::abi_test
