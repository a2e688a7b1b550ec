// SPDX-License-Identifier: Apache-2.0
// Requests the host can't serve, and requests that are none. Each leaves everything untouched.
#include "test/abi/world.hpp"

#include <gmock/gmock.h>

namespace kata_vfio::abi_test {
namespace {

using ::testing::HasSubstr;

class Refused : public World {
  protected:
    Answer refused(std::string_view device, kata_vfio_status_t status, std::string_view uuid = {}) {
        if (!sandbox)
            start_with_sandbox();
        const auto before = snapshot();
        const auto adds = machine->count("device_add");
        const auto answer = host->attach(sandbox, device, uuid);
        expect_refused(answer, status, before);
        EXPECT_EQ(machine->count("device_add"), adds);
        EXPECT_TRUE(answer.action.starts_with("attach ")) << answer;
        return answer;
    }
};

TEST_F(Refused, NoIommu) {
    start_with_sandbox();
    std::filesystem::remove_all(root.at("/sys/kernel/iommu_groups"));
    std::filesystem::create_directories(root.at("/sys/kernel/iommu_groups"));
    std::filesystem::remove(root.at("/sys/bus/pci/devices/0000:00:02.0/iommu_group"));
    root.write("/proc/cmdline", "quiet\n");
    const auto answer = refused(gpu, KATA_VFIO_E_NO_IOMMU);
    EXPECT_EQ(answer.problem, "this host has no IOMMU groups");
    EXPECT_THAT(answer.remedy, HasSubstr("intel_iommu=on"));
}

TEST_F(Refused, AGroupWithABlocker) {
    fake::FunctionSpec audio;
    audio.address = "0000:00:1f.3";
    audio.class_code = 0x040300;
    audio.driver = "snd_hda_intel";
    audio.group = 1;
    root.populate_function(audio);
    const auto answer = refused(gpu, KATA_VFIO_E_GROUP_NOT_VIABLE);
    EXPECT_EQ(answer.problem, "IOMMU group 1 is not viable");
    EXPECT_EQ(answer.blocker, "0000:00:1f.3 is bound to snd_hda_intel");
    EXPECT_THAT(answer.remedy, HasSubstr("kata-vfio bind 0000:00:1f.3"));
}

TEST_F(Refused, TheContainerNode) {
    const auto answer = refused("/dev/vfio/vfio", KATA_VFIO_E_NOT_A_VFIO_NODE);
    EXPECT_EQ(answer.problem, "/dev/vfio/vfio is the VFIO container node, not that of a device");
}

TEST_F(Refused, ANodeThatIsNoVfioNode) {
    EXPECT_EQ(refused("/dev/null", KATA_VFIO_E_NOT_A_VFIO_NODE).problem,
              "/dev/null is not a VFIO node");
    EXPECT_EQ(refused("/dev/vfio", KATA_VFIO_E_NOT_A_VFIO_NODE).problem,
              "/dev/vfio is a directory");
    refused("/dev/vfio/99", KATA_VFIO_E_DEVICE_NOT_FOUND);
    refused("/dev/vfio/../../etc/passwd", KATA_VFIO_E_DEVICE_NOT_FOUND);
    refused("1:3", KATA_VFIO_E_DEVICE_NOT_FOUND);
}

TEST_F(Refused, ANodeWhoseFunctionsAreOnTheHost) {
    const auto answer = refused("/dev/vfio/1", KATA_VFIO_E_DEVICE_NOT_FOUND);
    EXPECT_THAT(answer.blocker, HasSubstr("0000:00:02.0 is on i915"));
}

TEST_F(Refused, AddressesAndUuids) {
    const auto short_form = refused("00:02.0", KATA_VFIO_E_MALFORMED_ADDRESS);
    EXPECT_EQ(short_form.problem, "'00:02.0' is not a PCI address");
    EXPECT_EQ(short_form.remedy, "put the domain in front: 0000:00:02.0");
    EXPECT_EQ(short_form.action, "attach 00:02.0 to sandbox sb1");
    const auto nowhere = refused("0000:00:03.0", KATA_VFIO_E_DEVICE_NOT_FOUND);
    EXPECT_THAT(nowhere.message, HasSubstr("did you mean 0000:00:0"));
    refused("83b8f4f2-509f-382f-3c1e-e6bfe0fa100", KATA_VFIO_E_MALFORMED_UUID);
    const auto upper = refused("83B8F4F2-509F-382F-3C1E-E6BFE0FA1001", KATA_VFIO_E_MALFORMED_UUID);
    EXPECT_THAT(upper.remedy, HasSubstr(std::string(uuid_a)));
    refused(uuid_a, KATA_VFIO_E_DEVICE_NOT_FOUND);
    refused(type8, KATA_VFIO_E_MALFORMED_UUID, "83B8F4F2-509F-382F-3C1E-E6BFE0FA1001");
    refused(type8, KATA_VFIO_E_MALFORMED_UUID, "not-a-uuid");
    refused(gpu, KATA_VFIO_E_INVALID_ARGUMENT, uuid_a);
    refused("", KATA_VFIO_E_MALFORMED_DEVICE);
    const auto nul = refused(std::string_view("i915\0x", 6), KATA_VFIO_E_MALFORMED_DEVICE);
    EXPECT_EQ(nul.problem, "'i915\\x00x' has a NUL byte in it");
    const auto lines = refused("i915\nx", KATA_VFIO_E_MALFORMED_DEVICE);
    EXPECT_EQ(lines.action, "attach i915\\x0ax to sandbox sb1");
}

TEST_F(Refused, TypesAndParents) {
    root.populate_mtty();
    const auto near = refused("i915-GVTg_V4_7", KATA_VFIO_E_TYPE_NOT_FOUND);
    EXPECT_EQ(near.problem, "no mdev type 'i915-GVTg_V4_7' on this host");
    EXPECT_THAT(near.remedy, HasSubstr("did you mean i915-GVTg_V4_"));
    const auto name = refused("Single port serial", KATA_VFIO_E_TYPE_NOT_FOUND);
    EXPECT_EQ(name.problem, "'Single port serial' is the name of an mdev type, not its id");
    EXPECT_EQ(name.remedy, "use its id: mtty-1");
    const auto wrong = refused("i915-GVTg_V4_8@mtty", KATA_VFIO_E_TYPE_NOT_FOUND);
    EXPECT_EQ(wrong.problem, "parent mtty does not offer type i915-GVTg_V4_8");
    EXPECT_THAT(wrong.remedy, HasSubstr("0000:00:02.0 does"));
    refused("i915-GVTg_V4_8@0000:00:03.0", KATA_VFIO_E_PARENT_NOT_FOUND);
    refused("../../../etc", KATA_VFIO_E_MALFORMED_DEVICE);
    refused("i915-GVTg_V4_8@", KATA_VFIO_E_MALFORMED_DEVICE);
    refused("@0000:00:02.0", KATA_VFIO_E_MALFORMED_DEVICE);
}

TEST_F(Refused, NoInstancesLeft) {
    const auto answer = refused("i915-GVTg_V4_1", KATA_VFIO_E_NO_INSTANCES);
    EXPECT_THAT(answer.remedy, HasSubstr("i915-GVTg_V4_8: 7"));
    // The pool of 7 is used up by one of 4 and one of 2, and one of 1: each for a VM of its own.
    std::vector<std::unique_ptr<fake::FakeMachine>> machines;
    for (const char* type : {"i915-GVTg_V4_2", "i915-GVTg_V4_4", "i915-GVTg_V4_8"}) {
        machines.push_back(std::make_unique<fake::FakeMachine>());
        const auto other =
            host->open("of" + std::to_string(machines.size()), machines.back()->path());
        ASSERT_TRUE(other.ok()) << other;
        ASSERT_TRUE(host->attach(other.sandbox, type).ok()) << type;
    }
    const auto full = refused(type8, KATA_VFIO_E_NO_INSTANCES);
    EXPECT_THAT(full.blocker, HasSubstr("(i915-GVTg_V4_2)"));
    EXPECT_THAT(full.remedy, HasSubstr("available now: nothing"));
}

TEST_F(Refused, AUuidInUse) {
    root.populate_mdev(std::string(gpu), std::string(type8), std::string(uuid_a), 7);
    const auto answer = refused("i915-GVTg_V4_4", KATA_VFIO_E_UUID_EXISTS, uuid_a);
    EXPECT_THAT(answer.blocker, HasSubstr("type i915-GVTg_V4_8 of parent 0000:00:02.0"));
}

TEST_F(Refused, ADeviceOfAnotherSandbox) {
    start_with_sandbox();
    fake::FakeMachine second;
    const auto opened = host->open("sb2", second.path());
    ASSERT_TRUE(opened.ok()) << opened;
    ASSERT_TRUE(host->attach(opened.sandbox, type8, uuid_a).ok());
    for (const std::string& device :
         {std::string(uuid_a), std::string("/dev/vfio/2"), std::string("241:2")}) {
        const auto answer = refused(device, KATA_VFIO_E_DEVICE_IN_USE);
        EXPECT_EQ(answer.problem, std::string(uuid_a) + " belongs to another sandbox");
        EXPECT_EQ(answer.blocker, "sandbox sb2");
    }
    EXPECT_EQ(second.devices().size(), 1u);
    const auto foreign = host->detach(sandbox, uuid_a);
    EXPECT_EQ(foreign.status, KATA_VFIO_E_NOT_ATTACHED) << foreign;

    ASSERT_TRUE(host->detach(opened.sandbox, uuid_a).ok());
    ASSERT_TRUE(host->attach(opened.sandbox, gpu).ok());
    const auto function = refused(gpu, KATA_VFIO_E_DEVICE_IN_USE);
    EXPECT_EQ(function.blocker, "sandbox sb2");
}

TEST_F(Refused, AWholeGpuWithVgpusOnIt) {
    root.populate_mdev(std::string(gpu), std::string(type8), std::string(uuid_a), 7);
    const auto foreign = refused(gpu, KATA_VFIO_E_DEVICE_IN_USE);
    EXPECT_EQ(foreign.problem, "0000:00:02.0 has a vGPU on it, and loses it with its driver");
    EXPECT_EQ(foreign.blocker, std::string(uuid_a));

    fake::FakeMachine second;
    const auto opened = host->open("sb2", second.path());
    ASSERT_TRUE(opened.ok()) << opened;
    ASSERT_TRUE(host->attach(opened.sandbox, type8).ok());
    const auto owned = refused(gpu, KATA_VFIO_E_DEVICE_IN_USE);
    EXPECT_THAT(owned.problem, HasSubstr("has 2 vGPUs on it"));
    EXPECT_THAT(owned.blocker, HasSubstr(" (sandbox sb2)"));
    EXPECT_THAT(owned.remedy, HasSubstr("detach or remove the vGPUs first"));
}

TEST_F(Refused, ADeviceSomebodyElseHasOpen) {
    root.populate_mdev(std::string(gpu), std::string(type8), std::string(uuid_a), 7);
    root.populate_holder(4711, "qemu-system-x86", "/dev/vfio/7");
    const auto answer = refused(uuid_a, KATA_VFIO_E_DEVICE_IN_USE);
    EXPECT_EQ(answer.blocker, "pid 4711 (qemu-system-x86)");
}

// A device has many names; it is found to be the same by each, in its own sandbox and in another.
TEST_F(Refused, UnderAnyOfItsNames) {
    start_with_sandbox();
    fake::FakeMachine second;
    const auto opened = host->open("sb2", second.path());
    ASSERT_TRUE(opened.ok()) << opened;
    ASSERT_TRUE(host->attach(sandbox, gpu).ok());
    root.populate_cdev("vfio3", std::string(gpu));
    root.link("/dev/gpu", "vfio/1");
    ASSERT_TRUE(host->attach(sandbox, type8, uuid_a).ok());
    root.populate_cdev("vfio4", std::string(uuid_a));
    const auto vgpu =
        "/dev/vfio/" + std::to_string(host->list("sb1").attachments.at(1).iommu_group);
    root.link("/dev/vgpu", vgpu.substr(5));
    const auto number = [](std::string_view node) {
        return std::to_string(fake::FakeRoot::vfio_major) + ":" +
               std::string(node.substr(node.rfind('/') + 1));
    };
    const auto before = snapshot();
    for (const std::string& name :
         {std::string(gpu), std::string("/dev/vfio/1"), std::string("/dev/gpu"),
          std::string("/dev/vfio/devices/vfio3"), number("/dev/vfio/1"), std::string(uuid_a), vgpu,
          std::string("/dev/vgpu"), std::string("/dev/vfio/devices/vfio4"), number(vgpu)}) {
        SCOPED_TRACE(name);
        expect_refused(host->attach(sandbox, name), KATA_VFIO_E_ALREADY_ATTACHED, before);
        const auto elsewhere = host->attach(opened.sandbox, name);
        expect_refused(elsewhere, KATA_VFIO_E_DEVICE_IN_USE, before);
        EXPECT_EQ(elsewhere.blocker, "sandbox sb1");
    }
}

TEST_F(Refused, AttachedAlready) {
    start_with_sandbox();
    ASSERT_TRUE(host->attach(sandbox, gpu).ok());
    for (const char* device : {"0000:00:02.0", "/dev/vfio/1"}) {
        const auto answer = refused(device, KATA_VFIO_E_ALREADY_ATTACHED);
        EXPECT_EQ(answer.problem, "0000:00:02.0 is attached to sandbox sb1 already");
        EXPECT_THAT(answer.blocker, HasSubstr("guest address 0000:00:05.0"));
    }
}

TEST_F(Refused, TheThirtyFirstDevice) {
    root.populate_mtty();
    start_with_sandbox();
    machine->fill_bus(26); // slots 5 to 30
    const auto last = host->attach(sandbox, type8, uuid_a);
    ASSERT_TRUE(last.ok()) << last;
    EXPECT_EQ(last.attachments.at(0).guest_address, "0000:00:1f.0");
    const auto answer = refused("mtty-1", KATA_VFIO_E_ROOT_BUS_FULL);
    EXPECT_THAT(answer.message, HasSubstr("fill30"));
    EXPECT_THAT(answer.message, HasSubstr("vfio-" + std::string(uuid_a.substr(0, 8))));
}

TEST_F(Refused, AGroupThatDoesNotFitAsAWhole) {
    fake::FunctionSpec function;
    function.driver = "vfio-pci";
    function.group = 5;
    for (const char* address : {"0000:01:00.0", "0000:01:00.1"}) {
        function.address = address;
        root.populate_function(function);
    }
    start_with_sandbox();
    machine->fill_bus(26); // one slot is left, and two are wanted
    forget_bus();
    const auto answer = refused("/dev/vfio/5", KATA_VFIO_E_ROOT_BUS_FULL);
    EXPECT_EQ(answer.problem, "the root bus pci.0 has 1 free slot, but 2 are needed");
}

TEST_F(Refused, ABusThatSomebodyElseFilledMeanwhile) {
    start_with_sandbox();
    machine->fill_bus(27);
    const auto before = snapshot();
    const auto answer = host->attach(sandbox, gpu);
    expect_refused(answer, KATA_VFIO_E_ROOT_BUS_FULL, before); // what was bound for it is put back
    EXPECT_THAT(answer.blocker, HasSubstr("1f.0 fill31"));
    refused(gpu, KATA_VFIO_E_ROOT_BUS_FULL); // now it is known
}

TEST_F(Refused, ABridge) {
    refused("0000:00:00.0", KATA_VFIO_E_BIND_FAILED);
}

} // namespace
} // namespace kata_vfio::abi_test
