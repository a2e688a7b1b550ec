// SPDX-License-Identifier: Apache-2.0
// Attach by each of the names a device can have, and what is told of it.
#include "test/abi/world.hpp"

#include <gmock/gmock.h>

namespace kata_vfio::abi_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

class Attach : public World {
  protected:
    /// Detaches, and proves that the host is as it was.
    void expect_goes_back(const Snapshot& before, std::string_view name) {
        const auto detached = host->detach(sandbox, name);
        EXPECT_TRUE(detached.ok()) << detached;
        expect_untouched(before);
        EXPECT_EQ(plugged(), std::vector<std::string>{});
    }
};

constexpr const char* any_uuid =
    "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}";

TEST_F(Attach, AVgpuByType) {
    start_with_sandbox();
    const auto before = snapshot();
    const auto answer = host->attach(sandbox, type8);
    ASSERT_TRUE(answer.ok()) << answer;
    ASSERT_EQ(answer.attachments.size(), 1u);
    const auto& made = answer.attachments[0];
    EXPECT_EQ(made.kind, std::uint32_t{KATA_VFIO_KIND_MDEV});
    EXPECT_EQ(made.sandbox, "sb1");
    EXPECT_EQ(made.device, type8);
    EXPECT_THAT(made.uuid, MatchesRegex(any_uuid));
    EXPECT_EQ(made.id, "vfio-" + made.uuid.substr(0, 8));
    EXPECT_EQ(made.host_address, gpu);
    EXPECT_EQ(made.mdev_type, type8);
    EXPECT_EQ(made.sysfsdev, "/sys/bus/mdev/devices/" + made.uuid);
    EXPECT_EQ(made.guest_address, "0000:00:05.0"); // the first free slot
    EXPECT_EQ(made.iommu_group, 2);
    EXPECT_TRUE(made.owned);

    // What the host and QEMU have of it.
    EXPECT_EQ(names("/sys/bus/mdev/devices"), made.uuid);
    EXPECT_EQ(root.read("/sys/bus/pci/devices/0000:00:02.0/mdev_supported_types/i915-GVTg_V4_8/"
                        "available_instances"),
              "6\n");
    EXPECT_THAT(plugged(), ElementsAre(made.id));
    const auto commands = machine->commands();
    const auto last_add = std::find_if(commands.rbegin(), commands.rend(), [](const auto& command) {
        return command.at("execute").as_string() == "device_add";
    });
    const boost::json::object wanted{{"driver", "vfio-pci"},
                                     {"id", made.id},
                                     {"bus", "pci.0"},
                                     {"addr", "05.0"},
                                     {"sysfsdev", made.sysfsdev}};
    EXPECT_EQ(last_add->at("arguments").as_object(), wanted);

    // The same in JSON.
    const auto& json = answer.json.at("attachments").at(0);
    EXPECT_EQ(json.at("uuid").as_string(), made.uuid);
    EXPECT_EQ(json.at("guest_address").as_string(), made.guest_address);
    EXPECT_EQ(json.at("owned").as_bool(), true);
    EXPECT_EQ(answer.json.at("sandbox").as_string(), "sb1");

    expect_goes_back(before, made.uuid);
}

TEST_F(Attach, TwoVgpusWhoseUuidsBeginAlikeHaveIdsOfTheirOwn) {
    root.populate_mtty(); // a VM takes one of GVT-g
    start_with_sandbox();
    const auto before = snapshot();
    const std::string like_a = std::string(uuid_a.substr(0, 8)) + "-0000-4000-8000-000000000001";
    const auto first = host->attach(sandbox, type8, uuid_a);
    ASSERT_TRUE(first.ok()) << first;
    const auto second = host->attach(sandbox, "mtty-1", like_a);
    ASSERT_TRUE(second.ok()) << second;
    EXPECT_THAT(plugged(), ElementsAre("vfio-83b8f4f2", "vfio-" + like_a));
    const auto again = host->attach(sandbox, like_a);
    EXPECT_EQ(again.status, KATA_VFIO_E_ALREADY_ATTACHED) << again;

    ASSERT_TRUE(host->detach(sandbox, like_a).ok());
    EXPECT_THAT(plugged(), ElementsAre("vfio-83b8f4f2"));
    ASSERT_TRUE(host->detach(sandbox, uuid_a).ok());
    expect_untouched(before);
}

TEST_F(Attach, AVgpuByTypeAtAParent) {
    start_with_sandbox();
    const auto before = snapshot();
    const auto answer = host->attach(sandbox, "i915-GVTg_V4_2@0000:00:02.0");
    ASSERT_TRUE(answer.ok()) << answer;
    EXPECT_EQ(answer.attachments.at(0).host_address, gpu);
    EXPECT_EQ(answer.attachments.at(0).mdev_type, "i915-GVTg_V4_2");
    expect_goes_back(before, "i915-GVTg_V4_2@0000:00:02.0");
}

TEST_F(Attach, AVgpuWithAUuidOfTheCallers) {
    start_with_sandbox();
    const auto before = snapshot();
    const auto answer = host->attach(sandbox, type8, uuid_a);
    ASSERT_TRUE(answer.ok()) << answer;
    EXPECT_EQ(answer.attachments.at(0).uuid, uuid_a);
    EXPECT_EQ(names("/sys/bus/mdev/devices"), uuid_a);
    expect_goes_back(before, uuid_a);
}

TEST_F(Attach, AVgpuThatExistsIsNotOurs) {
    root.populate_mdev(std::string(gpu), std::string(type8), std::string(uuid_a), 7);
    start_with_sandbox();
    const auto before = snapshot();
    const auto answer = host->attach(sandbox, uuid_a);
    ASSERT_TRUE(answer.ok()) << answer;
    const auto& attached = answer.attachments.at(0);
    EXPECT_EQ(attached.uuid, uuid_a);
    EXPECT_EQ(attached.mdev_type, type8);
    EXPECT_EQ(attached.host_address, gpu);
    EXPECT_EQ(attached.iommu_group, 7);
    EXPECT_FALSE(attached.owned);
    expect_goes_back(before, uuid_a); // the vGPU included
    EXPECT_EQ(names("/sys/bus/mdev/devices"), uuid_a);
}

TEST_F(Attach, AnMdevByItsGroupsNode) {
    root.populate_mdev(std::string(gpu), std::string(type8), std::string(uuid_a), 7);
    start_with_sandbox();
    const auto before = snapshot();
    const auto answer = host->attach(sandbox, "/dev/vfio/7");
    ASSERT_TRUE(answer.ok()) << answer;
    EXPECT_EQ(answer.attachments.at(0).uuid, uuid_a);
    EXPECT_EQ(answer.attachments.at(0).device, "/dev/vfio/7");
    expect_goes_back(before, "/dev/vfio/7");
}

TEST_F(Attach, AnMdevByNumber) {
    root.populate_mdev(std::string(gpu), std::string(type8), std::string(uuid_a), 7);
    start_with_sandbox();
    const auto before = snapshot();
    const auto answer = host->attach(sandbox, "241:7");
    ASSERT_TRUE(answer.ok()) << answer;
    EXPECT_EQ(answer.attachments.at(0).uuid, uuid_a);
    expect_goes_back(before, "241:7");
}

TEST_F(Attach, AFunctionByAddressIsBoundAndGivenBack) {
    start_with_sandbox();
    const auto before = snapshot();
    const auto answer = host->attach(sandbox, gpu);
    ASSERT_TRUE(answer.ok()) << answer;
    const auto& attached = answer.attachments.at(0);
    EXPECT_EQ(attached.kind, std::uint32_t{KATA_VFIO_KIND_PCI});
    EXPECT_EQ(attached.id, "vfio-0000.00.02.0");
    EXPECT_EQ(attached.host_address, gpu);
    EXPECT_EQ(attached.uuid, "");
    EXPECT_EQ(attached.mdev_type, "");
    EXPECT_EQ(attached.sysfsdev, "/sys/bus/pci/devices/0000:00:02.0");
    EXPECT_EQ(attached.iommu_group, 1);
    EXPECT_TRUE(attached.owned);
    EXPECT_EQ(driver_of(gpu), "vfio-pci");
    EXPECT_TRUE(root.exists("/dev/vfio/1"));
    expect_goes_back(before, gpu);
    EXPECT_EQ(driver_of(gpu), "i915");
}

TEST_F(Attach, TheEarlierOverrideComesBack) {
    fake::FunctionSpec nic;
    nic.address = "0000:00:19.0";
    nic.class_code = 0x020000;
    nic.driver = "e1000e";
    nic.driver_override = "e1000e";
    nic.group = 5;
    root.populate_function(nic);
    start_with_sandbox();
    const auto before = snapshot();
    const auto answer = host->attach(sandbox, nic.address);
    ASSERT_TRUE(answer.ok()) << answer;
    EXPECT_EQ(driver_of(nic.address), "vfio-pci");
    expect_goes_back(before, nic.address);
    EXPECT_EQ(root.read("/sys/bus/pci/devices/0000:00:19.0/driver_override"), "e1000e\n");
}

TEST_F(Attach, AFunctionOnVfioIsLeftThere) {
    fake::FunctionSpec nic;
    nic.address = "0000:00:19.0";
    nic.driver = "vfio-pci";
    nic.driver_override = "vfio-pci";
    nic.group = 5;
    root.populate_function(nic);
    start_with_sandbox();
    const auto before = snapshot();
    const auto answer = host->attach(sandbox, "/dev/vfio/5");
    ASSERT_TRUE(answer.ok()) << answer;
    EXPECT_EQ(answer.attachments.at(0).host_address, nic.address);
    EXPECT_FALSE(answer.attachments.at(0).owned);
    expect_goes_back(before, "vfio-0000.00.19.0");
    EXPECT_EQ(driver_of(nic.address), "vfio-pci");
}

class Group : public Attach {
  protected:
    /// Two functions in one slot of the host, and the bridge above them, in group 5.
    void populate(const std::optional<std::string>& first, const std::optional<std::string>& second,
                  std::uint32_t second_class = 0x040300) {
        fake::FunctionSpec function;
        function.group = 5;
        function.address = "0000:01:00.0";
        function.driver = first;
        root.populate_function(function);
        function.address = "0000:01:00.1";
        function.class_code = second_class;
        function.driver = second;
        root.populate_function(function);
        fake::FunctionSpec bridge;
        bridge.address = "0000:00:01.0";
        bridge.class_code = 0x060400;
        bridge.header_type = 1;
        bridge.driver = "pcieport";
        bridge.group = 5;
        root.populate_function(bridge);
    }
};

TEST_F(Group, WholeAtOnceInOneSlot) {
    populate("vfio-pci", "vfio-pci");
    start_with_sandbox();
    const auto before = snapshot();
    const auto answer = host->attach(sandbox, "/dev/vfio/5");
    ASSERT_TRUE(answer.ok()) << answer;
    ASSERT_EQ(answer.attachments.size(), 2u); // not the bridge
    EXPECT_EQ(answer.attachments[0].host_address, "0000:01:00.0");
    EXPECT_EQ(answer.attachments[1].host_address, "0000:01:00.1");
    EXPECT_EQ(answer.attachments[0].guest_address, "0000:00:05.0");
    EXPECT_EQ(answer.attachments[1].guest_address, "0000:00:05.1");
    // Function 0 last: it is what makes the guest look.
    EXPECT_THAT(plugged(), ElementsAre("vfio-0000.01.00.1", "vfio-0000.01.00.0"));
    // The next device has a slot of its own.
    const auto next = host->attach(sandbox, type8);
    ASSERT_TRUE(next.ok()) << next;
    EXPECT_EQ(next.attachments[0].guest_address, "0000:00:06.0");
    ASSERT_TRUE(host->detach(sandbox, type8).ok());
    // The guest gives a slot back as a whole.
    const auto detached = host->detach(sandbox, "0000:01:00.1");
    ASSERT_TRUE(detached.ok()) << detached;
    EXPECT_EQ(detached.attachments.size(), 2u);
    expect_untouched(before);
    EXPECT_THAT(plugged(), ElementsAre());
}

// The guest gives the slot back by itself (echo 0 > .../slots/5/power): both functions go at once,
// and nobody here has asked for it.
TEST_F(Group, TheGuestEjectsTheSlot) {
    populate("i915", "snd_hda_intel");
    configure(configuration("take_siblings = \"audio\""));
    start_with_sandbox();
    const auto before = snapshot();
    const auto eject = [&] {
        ASSERT_TRUE(host->attach(sandbox, "0000:01:00.0").ok());
        ASSERT_EQ(plugged().size(), 2u);
        for (const auto& id : plugged())
            machine->eject(id);
    };
    eject();
    const auto answer = host->reconcile();
    ASSERT_TRUE(answer.ok()) << answer;
    const auto& ours = answer.json.at("sandboxes").at(0);
    EXPECT_EQ(ours.at("verdict"), "recovered");
    int let_go = 0;
    for (const auto& action : ours.at("actions").as_array())
        let_go += action.at("action") == "let_go" ? 1 : 0;
    EXPECT_EQ(let_go, 2);
    EXPECT_TRUE(host->list("sb1").attachments.empty());
    expect_untouched(before);
    // Without a reconcile between: a detach of either gives both back.
    eject();
    const auto detached = host->detach(sandbox, "0000:01:00.1");
    ASSERT_TRUE(detached.ok()) << detached;
    EXPECT_EQ(detached.attachments.size(), 2u);
    expect_untouched(before);
    // Half of it first, as its events come one by one: the other is not taken for gone.
    ASSERT_TRUE(host->attach(sandbox, "0000:01:00.0").ok());
    machine->eject("vfio-0000.01.00.1");
    (void)host->reconcile();
    EXPECT_EQ(host->list("sb1").attachments.size(), 1u);
    EXPECT_EQ(names("/run/kata-vfio/claims"), "function-0000:01:00.0 group-5");
    machine->eject("vfio-0000.01.00.0");
    (void)host->reconcile();
    expect_untouched(before);
}

TEST_F(Group, WhereQemuTakesNoFunctionsEachHasASlot) {
    populate("vfio-pci", "vfio-pci");
    start_with_sandbox();
    const auto before = snapshot();
    machine->refuse_functions(true);
    const auto answer = host->attach(sandbox, "/dev/vfio/5");
    ASSERT_TRUE(answer.ok()) << answer;
    ASSERT_EQ(answer.attachments.size(), 2u);
    EXPECT_EQ(answer.attachments[0].host_address, "0000:01:00.0");
    EXPECT_EQ(answer.attachments[0].guest_address, "0000:00:06.0");
    EXPECT_EQ(answer.attachments[1].guest_address, "0000:00:05.0");

    // One of the two by its own name; the group's claim stays with the other.
    auto detached = host->detach(sandbox, "0000:01:00.0");
    ASSERT_TRUE(detached.ok()) << detached;
    EXPECT_EQ(detached.attachments.size(), 1u);
    EXPECT_EQ(names("/run/kata-vfio/claims"), "function-0000:01:00.1 group-5");
    // Nor does a failed attach of the first one take the group's claim from the second.
    machine->refuse_device_add("no");
    ASSERT_FALSE(host->attach(sandbox, "0000:01:00.0").ok());
    machine->refuse_device_add("");
    EXPECT_EQ(names("/run/kata-vfio/claims"), "function-0000:01:00.1 group-5");
    expect_goes_back(before, "/dev/vfio/5");
}

TEST_F(Group, AllOrNone) {
    populate("vfio-pci", "vfio-pci");
    start_with_sandbox();
    const auto before = snapshot();
    for (const char* failing : {"plug vfio-0000.01.00.1", "plug vfio-0000.01.00.0"}) {
        host->at_step(failing, [&](std::uint64_t) { machine->refuse_device_add("no more of it"); });
        const auto answer = host->attach(sandbox, "/dev/vfio/5");
        EXPECT_EQ(answer.status, KATA_VFIO_E_QEMU_REFUSED) << answer;
        host->at_step("", {});
        machine->refuse_device_add("");
        EXPECT_THAT(plugged(), ElementsAre());
        expect_untouched(before);
    }
}

TEST_F(Group, ASiblingOnAHostDriverIsNotTakenUnasked) {
    populate("i915", "snd_hda_intel");
    start_with_sandbox();
    const auto before = snapshot();
    const auto answer = host->attach(sandbox, "0000:01:00.0");
    expect_refused(answer, KATA_VFIO_E_GROUP_NOT_VIABLE, before);
    EXPECT_EQ(answer.blocker, "0000:01:00.1 is bound to snd_hda_intel");
}

TEST_F(Group, TheAudioFunctionGoesWithItsGpu) {
    configure(configuration("take_siblings = \"audio\""));
    populate("i915", "snd_hda_intel");
    start_with_sandbox();
    const auto before = snapshot();
    const auto answer = host->attach(sandbox, "0000:01:00.0");
    ASSERT_TRUE(answer.ok()) << answer;
    ASSERT_EQ(answer.attachments.size(), 2u);
    EXPECT_EQ(answer.attachments[1].host_address, "0000:01:00.1");
    EXPECT_EQ(answer.attachments[1].guest_address, "0000:00:05.1");
    EXPECT_TRUE(answer.attachments[1].owned);
    EXPECT_EQ(driver_of("0000:01:00.1"), "vfio-pci");
    EXPECT_EQ(driver_of("0000:00:01.0"), "pcieport");
    expect_goes_back(before, "0000:01:00.0");
    EXPECT_EQ(driver_of("0000:01:00.1"), "snd_hda_intel");
}

TEST_F(Group, WhatIsTakenMustBeAllowed) {
    configure(configuration("take_siblings = \"all\"\nallowed_devices = [\"0000:01:00.0\"]"));
    populate("i915", "igb", 0x020000);
    start_with_sandbox();
    const auto before = snapshot();
    const auto answer = host->attach(sandbox, "0000:01:00.0");
    expect_refused(answer, KATA_VFIO_E_NOT_ALLOWED, before);
    EXPECT_THAT(answer.problem, HasSubstr("0000:01:00.1"));
}

TEST_F(Group, OnlyAudioIsAudio) {
    configure(configuration("take_siblings = \"audio\""));
    populate("i915", "igb", 0x020000);
    start_with_sandbox();
    const auto before = snapshot();
    expect_refused(host->attach(sandbox, "0000:01:00.0"), KATA_VFIO_E_GROUP_NOT_VIABLE, before);
}

TEST_F(Attach, StepsAreToldInOrder) {
    start_with_sandbox();
    const auto earlier = host->steps().size();
    const auto answer = host->attach(sandbox, type8, uuid_a);
    ASSERT_TRUE(answer.ok()) << answer;
    ASSERT_TRUE(host->detach(sandbox, uuid_a).ok());
    auto steps = host->steps();
    steps.erase(steps.begin(), steps.begin() + static_cast<std::ptrdiff_t>(earlier));
    const auto uuid = std::string(uuid_a);
    EXPECT_THAT(steps,
                ElementsAre("create vGPU " + uuid + " of type i915-GVTg_V4_8 on 0000:00:02.0",
                            "plug vfio-" + uuid.substr(0, 8) + " into pci.0",
                            "unplug vfio-" + uuid.substr(0, 8) + " from guest address 0000:00:05.0",
                            "remove vGPU " + uuid));
}

} // namespace
} // namespace kata_vfio::abi_test
