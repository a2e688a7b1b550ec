// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/error.hpp"

#include <gtest/gtest.h>

#include <string>

using namespace kata_vfio;
using namespace kata_vfio::qemu;

namespace {

struct Case {
    const char* desc;
    Errc code;
    const char* hint; ///< part of the remedy
};

// The texts are QEMU 7.2's and 10.0's, see qmp/error.cpp for their sources.
const Case cases[] = {
    {"vfio /sys/bus/pci/devices/0000:99:00.0: no such host device: No such file or directory",
     Errc::device_not_found, "gone from the host"},
    {"vfio 0000:00:01.0: no iommu_group found: No such file or directory", Errc::no_iommu,
     "intel_iommu=on"},
    {"vfio 0000:00:01.0: failed to open /dev/vfio/12: No such file or directory",
     Errc::device_not_found, "bind the function to vfio-pci"},
    {"vfio 0000:00:01.0: Could not open '/dev/vfio/12': No such file or directory",
     Errc::device_not_found, "bind the function to vfio-pci"},
    {"vfio 0000:00:01.0: failed to open /dev/vfio/12: Device or resource busy", Errc::device_in_use,
     "another sandbox"},
    {"vfio 0000:00:01.0: Could not open '/dev/vfio/12': Device or resource busy",
     Errc::device_in_use, "another sandbox"},
    {"vfio 0000:00:01.0: failed to open /dev/vfio/12: Permission denied", Errc::permission_denied,
     "cgroup"},
    {"vfio 0000:00:01.0: Could not open '/dev/vfio/12': Operation not permitted",
     Errc::permission_denied, "cgroup"},
    {"vfio 0000:00:01.0: failed to setup container for group 12: failed to open /dev/vfio/vfio: No "
     "such file or directory",
     Errc::driver_missing, "vfio_iommu_type1"},
    {"vfio 0000:00:01.0: group 12 is not viable", Errc::group_not_viable,
     "every device of the group"},
    {"vfio 0000:00:01.0: error getting device from group 12: No such device", Errc::bind_failed,
     "vfio-pci"},
    {"vfio 0000:00:01.0: device is already attached", Errc::already_attached, "detach it first"},
    {"vfio 0000:00:01.0: failed to setup container for group 12: No available IOMMU models",
     Errc::no_iommu, "vfio_iommu_type1"},
    {"vfio 0000:00:01.0: failed to setup container for group 12: memory listener initialization "
     "failed: Region pc.ram: vfio_dma_map(0x55, 0x0, 0xc0000, 0x7f) = -12 (Cannot allocate memory)",
     Errc::qemu_refused, "RLIMIT_MEMLOCK"},
    {"vfio 0000:00:01.0: memory listener initialization failed: Region pc.ram: "
     "vfio_container_dma_map(0x55, 0x0) = -22 (Invalid argument)",
     Errc::qemu_refused, "address width"},
    {"vfio 0000:00:01.0: failed to setup container for group 12: Failed to set iommu for "
     "container: "
     "Operation not permitted",
     Errc::qemu_refused, "kernel log"},
    {"vfio 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001: vfio: device doesn't support any (known) display "
     "method",
     Errc::qemu_refused, "display"},
    {"cannot support IGD OpRegion feature on hotplugged device", Errc::qemu_refused,
     "x-igd-opregion"},
    {"No provided host device", Errc::invalid_argument, "sysfsdev"},
    {"Bus 'pcie.0' does not support hotplugging", Errc::live_machine_refused, "q35"},
    {"Device 'vfio-pci-nohotplug' does not support hotplugging", Errc::qemu_refused,
     "hot-pluggable"},
    {"Bus 'pci.9' not found", Errc::qemu_refused, "pci.0"},
    {"PCI: no slot/function available for vfio-pci, all in use or reserved", Errc::root_bus_full,
     "detach a device"},
    {"PCI: slot 5 function 0 not available for vfio-pci, in use by virtio-net,id=s1",
     Errc::invalid_argument, "free slot"},
    {"Unsupported bus. Bus doesn't have property 'acpi-pcihp-bsel' set", Errc::qemu_refused,
     "acpi-root-pci-hotplug"},
    {"Duplicate device ID 's1'", Errc::already_attached, "detach"},
    {"'nosuchdrv' is not a valid device model name", Errc::qemu_refused, "built without"},
    {"Property 'vfio-pci.iommufd' not found", Errc::qemu_refused, "device-list-properties"},
    {"device_add not allowed while migrating", Errc::guest_not_ready, "migration"},
    {"Device gpu0 is already in the process of unplug", Errc::guest_not_ready, "has booted"},
    {"Hot-unplug failed: guest is busy (power indicator blinking)", Errc::guest_not_ready,
     "try again"},
    {"Command device_add has been disabled: read-only", Errc::qemu_refused, "restricted"},
    {"something entirely new", Errc::qemu_refused, ""},
};

} // namespace

TEST(ErrorClassifier, KnowsTheTextsOfBothGenerations) {
    for (const auto& c : cases) {
        const auto got = classify("device_add", "GenericError", c.desc);
        EXPECT_EQ(name(got.code), name(c.code)) << c.desc;
        EXPECT_NE(got.remedy.find(c.hint), std::string_view::npos) << c.desc << "\n" << got.remedy;
        if (*c.hint == '\0') {
            EXPECT_EQ(got.remedy, "") << c.desc;
        }
    }
}

TEST(ErrorClassifier, RefusalsTheMachinesDecideOn) {
    EXPECT_EQ(classify("device_del", "DeviceNotFound", "Device 'zz' not found").refusal,
              Refusal::device_not_found);
    EXPECT_EQ(classify("device_del", "DeviceNotFound", "Device 'zz' not found").code,
              Errc::not_attached);
    EXPECT_EQ(classify("qom-get", "DeviceNotFound", "Device '/machine/zz' not found").code,
              Errc::qemu_refused);
    EXPECT_EQ(classify("device_del", "GenericError", "Device x is already in the process of unplug")
                  .refusal,
              Refusal::unplug_pending);
    EXPECT_EQ(classify("device_del", "GenericError", "Hot-unplug failed: guest is busy (power ..")
                  .refusal,
              Refusal::unplug_busy);
    EXPECT_EQ(classify("device_add", "GenericError", "Duplicate device ID 'a'").refusal,
              Refusal::duplicate_id);
    // A device of that name in another text is no pending unplug.
    EXPECT_EQ(classify("device_add", "GenericError", "no such thing as unplug").refusal,
              Refusal::other);
}

TEST(ErrorClassifier, FailureKeepsCommandClassAndWords) {
    const QmpFailure failure("device_add", "GenericError",
                             "vfio 0000:00:01.0: group 12 is not viable");
    EXPECT_EQ(failure.code(), Errc::group_not_viable);
    EXPECT_EQ(failure.command(), "device_add");
    EXPECT_EQ(failure.error_class(), "GenericError");
    EXPECT_STREQ(
        failure.what(),
        "QEMU refused device_add (GenericError): vfio 0000:00:01.0: group 12 is not viable; "
        "bind every device of the group to vfio-pci or to no driver");
    const QmpFailure future("device_add", "Tomorrow", "?");
    EXPECT_STREQ(future.what(), "QEMU refused device_add (Tomorrow): ?");
    EXPECT_EQ(QmpFailure("x", "", "y").problem(), "QEMU refused x (no class)");
}
