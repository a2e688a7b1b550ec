// SPDX-License-Identifier: Apache-2.0
// What the configuration, an annotation or the live machine forbids.
#include "test/abi/world.hpp"

#include <gmock/gmock.h>

#include <fstream>

namespace kata_vfio::abi_test {
namespace {

using ::testing::HasSubstr;

class Policy : public World {
  protected:
    /// Opening a sandbox under this configuration is refused, before QEMU hears of it.
    Answer refused(std::string_view text, kata_vfio_status_t status,
                   const PluginHost::Annotations& annotations = {}) {
        configure(text);
        if (!host)
            start();
        const auto before = snapshot();
        const auto answer = host->open("sb1", machine->path(), annotations);
        expect_refused(answer, status, before);
        EXPECT_EQ(answer.action, "open sandbox sb1");
        EXPECT_EQ(machine->count("qmp_capabilities"), 0u);
        return answer;
    }
    std::string at(int line) const { return config.string() + ":" + std::to_string(line); }
};

TEST_F(Policy, Q35InTheFile) {
    const auto answer = refused("[hypervisor.qemu]\nmachine_type = \"q35\"\n"
                                "hotplug_vfio_on_root_bus = true\n",
                                KATA_VFIO_E_MACHINE_REFUSED);
    EXPECT_THAT(answer.problem, HasSubstr(at(2)));
    EXPECT_THAT(answer.problem, HasSubstr("machine_type"));
    EXPECT_THAT(answer.problem, HasSubstr("\"q35\" can't be used"));
    EXPECT_THAT(answer.remedy,
                ::testing::StartsWith("write machine_type = \"pc\" in [hypervisor.qemu]; "));
    EXPECT_THAT(answer.remedy, HasSubstr("the guest's PCI topology changes with it"));
    EXPECT_THAT(answer.remedy, HasSubstr("AHCI"));
}

TEST_F(Policy, OneThatNeverWasQ35IsNotWarnedOfLeavingIt) {
    const auto answer = refused("[hypervisor.qemu]\nmachine_type = \"microvm\"\n"
                                "hotplug_vfio_on_root_bus = true\n",
                                KATA_VFIO_E_MACHINE_REFUSED);
    EXPECT_EQ(answer.remedy, "write machine_type = \"pc\" in [hypervisor.qemu]");
}

TEST_F(Policy, RootBusOff) {
    const auto answer = refused("[hypervisor.qemu]\nmachine_type = \"pc\"\n"
                                "hotplug_vfio_on_root_bus = false\n",
                                KATA_VFIO_E_ROOT_BUS_OFF);
    EXPECT_THAT(answer.problem, HasSubstr(at(3)));
    EXPECT_THAT(answer.problem, HasSubstr("hotplug_vfio_on_root_bus: is false"));
}

TEST_F(Policy, RootBusMissing) {
    const auto answer =
        refused("[hypervisor.qemu]\nmachine_type = \"pc\"\n", KATA_VFIO_E_ROOT_BUS_OFF);
    EXPECT_THAT(answer.problem, HasSubstr("hotplug_vfio_on_root_bus: is missing"));
    EXPECT_THAT(answer.remedy, HasSubstr("kata-vfio config enable"));
}

TEST_F(Policy, RootBusMisspelt) {
    const auto answer = refused("[hypervisor.qemu]\nmachine_type = \"pc\"\n"
                                "hotplug_vfio_on_rootbus = true\n",
                                KATA_VFIO_E_ROOT_BUS_OFF);
    EXPECT_THAT(answer.problem, HasSubstr(at(3)));
    EXPECT_THAT(answer.problem, HasSubstr("hotplug_vfio_on_rootbus"));
}

TEST_F(Policy, RootBusNotABoolean) {
    configure("[hypervisor.qemu]\nmachine_type = \"pc\"\nhotplug_vfio_on_root_bus = \"true\"\n");
    const auto before = snapshot();
    const auto refusal = refused_open(config, root.path());
    EXPECT_EQ(refusal.status, KATA_VFIO_E_CONFIG_INVALID);
    EXPECT_THAT(refusal.text, HasSubstr(at(3)));
    EXPECT_THAT(refusal.text, HasSubstr("hotplug_vfio_on_root_bus"));
    expect_untouched(before);
}

TEST_F(Policy, RootBusTurnedOffByADropIn) {
    const auto drop_in = config.parent_path() / "config.d" / "50-local";
    std::filesystem::create_directory(drop_in.parent_path());
    std::ofstream(drop_in) << "[hypervisor.qemu]\nhotplug_vfio_on_root_bus = false\n";
    const auto answer = refused(configuration(), KATA_VFIO_E_ROOT_BUS_OFF);
    EXPECT_THAT(answer.problem, HasSubstr(drop_in.string() + ":2"));
    EXPECT_THAT(answer.problem, HasSubstr("this drop-in turns it off, over " + at(3)));
}

TEST_F(Policy, Q35InAnAnnotation) {
    const auto answer = refused(configuration(), KATA_VFIO_E_ANNOTATION_REFUSED,
                                {{"io.katacontainers.config.hypervisor.machine_type", "q35"}});
    EXPECT_THAT(answer.problem, HasSubstr("machine_type"));
    EXPECT_THAT(answer.problem, HasSubstr("asks for 'q35'"));
    EXPECT_EQ(answer.remedy, "leave it out, or set it to pc");
}

TEST_F(Policy, AnAnnotationThatIsNotEnabled) {
    const auto answer = refused(configuration(), KATA_VFIO_E_ANNOTATION_REFUSED,
                                {{"io.katacontainers.config.hypervisor.kernel_params", "quiet"}});
    EXPECT_THAT(answer.problem, HasSubstr("is not enabled"));
}

TEST_F(Policy, SomebodyElsesAnnotationIsLeftAlone) {
    start();
    const auto opened = host->open("sb1", machine->path(), {{"io.kubernetes.pod.name", "web"}});
    EXPECT_TRUE(opened.ok()) << opened;
}

TEST_F(Policy, ALiveQ35) {
    fake::FakeMachine::Options options;
    options.machine = "pc-q35-7.2-machine";
    machine = std::make_unique<fake::FakeMachine>(options);
    start();
    const auto before = snapshot();
    const auto answer = host->open("sb1", machine->path());
    expect_refused(answer, KATA_VFIO_E_LIVE_MACHINE_REFUSED, before);
    EXPECT_EQ(answer.problem, "the running QEMU's machine is 'pc-q35-7.2', not pc");
    EXPECT_EQ(answer.remedy, "start the sandbox with machine_type = \"pc\"");
}

TEST_F(Policy, WhatWasAttachedBeforeTheFileChangedCanBeDetached) {
    start_with_sandbox();
    const auto before = snapshot();
    ASSERT_TRUE(host->attach(sandbox, type8, uuid_a).ok());
    host->close(sandbox);
    configure("[hypervisor.qemu]\nmachine_type = \"q35\"\nhotplug_vfio_on_root_bus = true\n");
    PluginHost other(config, root.path());
    const auto opened = other.open("sb1", machine->path());
    ASSERT_TRUE(opened.ok()) << opened;
    const auto attach = other.attach(opened.sandbox, type8);
    EXPECT_EQ(attach.status, KATA_VFIO_E_MACHINE_REFUSED) << attach;
    const auto detach = other.detach(opened.sandbox, uuid_a);
    EXPECT_TRUE(detach.ok()) << detach;
    expect_untouched(before);
}

TEST_F(Policy, AKnownSandboxWithNothingToGiveBackIsRefusedLikeANewOne) {
    start_with_sandbox();
    host->close(sandbox);
    const auto before = snapshot();
    configure("[hypervisor.qemu]\nmachine_type = \"q35\"\nhotplug_vfio_on_root_bus = true\n");
    PluginHost other(config, root.path());
    expect_refused(other.open("sb1", machine->path()), KATA_VFIO_E_MACHINE_REFUSED, before);
}

TEST_F(Policy, RefusedAnnotationsAreNotRemembered) {
    configure("[hypervisor.qemu]\nmachine_type = \"pc\"\nhotplug_vfio_on_root_bus = true\n"
              "enable_annotations = [\"machine_type\"]\n");
    start_with_sandbox();
    ASSERT_TRUE(host->attach(sandbox, type8, uuid_a).ok());
    host->close(sandbox);
    const auto before = snapshot();
    PluginHost other(config, root.path());
    expect_refused(other.open("sb1", machine->path(),
                              {{"io.katacontainers.config.hypervisor.machine_type", "q35"}}),
                   KATA_VFIO_E_ANNOTATION_REFUSED, before);
    const auto opened = other.open("sb1", machine->path());
    ASSERT_TRUE(opened.ok()) << opened;
    EXPECT_TRUE(other.detach(opened.sandbox, uuid_a).ok());
}

struct AllowList {
    const char* setting;
    const char* device;
    const char* blocker;
};

class AllowLists : public World, public ::testing::WithParamInterface<AllowList> {};

TEST_P(AllowLists, RefuseWhatDoesNotMatch) {
    const auto& [setting, device, blocker] = GetParam();
    configure(configuration(setting));
    root.populate_mdev(std::string(gpu), std::string(type8), std::string(uuid_a), 7);
    start();
    const auto opened = host->open("sb1", machine->path());
    ASSERT_TRUE(opened.ok()) << opened;
    const auto before = snapshot();
    const auto answer = host->attach(opened.sandbox, device);
    expect_refused(answer, KATA_VFIO_E_NOT_ALLOWED, before);
    EXPECT_EQ(answer.blocker, blocker);
    EXPECT_EQ(plugged(), std::vector<std::string>{});
}

INSTANTIATE_TEST_SUITE_P(
    Policy, AllowLists,
    ::testing::Values(
        AllowList{"allowed_types = [\"i915-GVTg_V4_[124]\"]", "i915-GVTg_V4_8",
                  "[vfio] allowed_types = [i915-GVTg_V4_[124]]"},
        AllowList{"allowed_types = []", "i915-GVTg_V4_8", "[vfio] allowed_types = []"},
        // No way round by the name of one that exists.
        AllowList{"allowed_types = [\"i915-GVTg_V4_4\"]", "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001",
                  "[vfio] allowed_types = [i915-GVTg_V4_4]"},
        AllowList{"allowed_types = [\"i915-GVTg_V4_4\"]", "/dev/vfio/7",
                  "[vfio] allowed_types = [i915-GVTg_V4_4]"},
        AllowList{"allowed_types = [\"i915-GVTg_V4_4\"]", "241:7",
                  "[vfio] allowed_types = [i915-GVTg_V4_4]"},
        AllowList{"allowed_parents = [\"0000:03:*\"]", "i915-GVTg_V4_8",
                  "[vfio] allowed_parents = [0000:03:*]"},
        AllowList{"allowed_parents = [\"0000:03:*\"]", "i915-GVTg_V4_8@0000:00:02.0",
                  "[vfio] allowed_parents = [0000:03:*]"},
        AllowList{"allowed_devices = [\"0000:03:00.?\"]", "0000:00:02.0",
                  "[vfio] allowed_devices = [0000:03:00.?]"}));

} // namespace
} // namespace kata_vfio::abi_test
