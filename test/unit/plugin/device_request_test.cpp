// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/device_request.hpp"

#include "config/base/failure.hpp"
#include "test/unit/plugin/temp_dir.hpp"

#include <gmock/gmock.h>

namespace kata_vfio::plugin {
namespace {

using ::testing::HasSubstr;

constexpr const char* uuid = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";

template <class T>
T parsed(std::string_view device, std::string_view id = {}) {
    const auto request = parse_device(device, id);
    if (!std::holds_alternative<T>(request))
        throw std::runtime_error("another form: " + std::to_string(request.index()));
    return std::get<T>(request);
}

TEST(DeviceRequest, Nodes) {
    EXPECT_EQ(parsed<NodeRequest>("/dev/vfio/12").path, "/dev/vfio/12");
    EXPECT_EQ(parsed<NodeRequest>("/dev/vfio/devices/vfio3").path, "/dev/vfio/devices/vfio3");
    EXPECT_EQ(parsed<NodeRequest>("/a@b").path, "/a@b"); // no TYPE@PARENT
}

TEST(DeviceRequest, Numbers) {
    const auto request = parsed<DevnumRequest>("241:12");
    EXPECT_EQ(request.major, 241u);
    EXPECT_EQ(request.minor, 12u);
    EXPECT_EQ(parsed<DevnumRequest>("0:0").minor, 0u);
    EXPECT_EQ(parsed<DevnumRequest>("511:1048575").minor, 1048575u);
}

TEST(DeviceRequest, Addresses) {
    EXPECT_EQ(parsed<FunctionRequest>("0000:00:02.0").address.text(), "0000:00:02.0");
    EXPECT_EQ(parsed<FunctionRequest>("0000:0A:1F.7").address.text(), "0000:0a:1f.7");
    EXPECT_EQ(parsed<FunctionRequest>("10000:00:02.0").address.domain, 0x10000u);
}

TEST(DeviceRequest, Uuids) {
    EXPECT_EQ(parsed<MdevRequest>(uuid).uuid.text(), uuid);
}

TEST(DeviceRequest, Vgpus) {
    auto request = parsed<VgpuRequest>("i915-GVTg_V4_8");
    EXPECT_EQ(request.type, "i915-GVTg_V4_8");
    EXPECT_EQ(request.parent, std::nullopt);
    EXPECT_EQ(request.uuid, std::nullopt);
    request = parsed<VgpuRequest>("i915-GVTg_V4_8@0000:00:02.0", uuid);
    EXPECT_EQ(request.type, "i915-GVTg_V4_8");
    EXPECT_EQ(request.parent, "0000:00:02.0");
    EXPECT_EQ(request.uuid->text(), uuid);
    EXPECT_EQ(parsed<VgpuRequest>("mtty-1@mtty").parent, "mtty");
    // A type may have a space or an @ in it: whether there is one is the host's to say.
    EXPECT_EQ(parsed<VgpuRequest>("Single port serial").type, "Single port serial");
    EXPECT_EQ(parsed<VgpuRequest>("odd@type@parent").type, "odd@type");
    EXPECT_EQ(parsed<VgpuRequest>(std::string(128, 'x')).type.value().size(), 128u);
}

struct Refused {
    const char* device;
    Errc code;
    const char* text;
};

class RefusedDevices : public ::testing::TestWithParam<Refused> {};

TEST_P(RefusedDevices, SayWhy) {
    const auto& [device, code, text] = GetParam();
    const auto failure = failure_of([&] { parse_device(device); });
    EXPECT_EQ(name(failure.code()), name(code)) << failure.what();
    EXPECT_THAT(failure.what(), HasSubstr(text));
    EXPECT_NE(failure.advice(), "");
}

INSTANTIATE_TEST_SUITE_P(
    DeviceRequest, RefusedDevices,
    ::testing::Values(
        Refused{"", Errc::malformed_device, "the device is empty"},
        Refused{"00:02.0", Errc::malformed_address, "put the domain in front: 0000:00:02.0"},
        Refused{"0000:00:20.0", Errc::malformed_address, "'0000:00:20.0' is not a PCI address"},
        Refused{"0000:00:02.8", Errc::malformed_address, "function up to 7"},
        Refused{"0000:00:02", Errc::malformed_address, "is not a PCI address"},
        Refused{" 0000:00:02.0", Errc::malformed_address, "is not a PCI address"},
        Refused{"0000:00:02.0 ", Errc::malformed_address, "is not a PCI address"},
        Refused{":", Errc::malformed_address, "is not a PCI address"},
        Refused{"241:", Errc::malformed_address, "is not a PCI address"},
        Refused{"241:-1", Errc::malformed_address, "is not a PCI address"},
        Refused{"241:99999999999", Errc::malformed_address, "is not a PCI address"},
        Refused{"241: 1", Errc::malformed_address, "is not a PCI address"},
        Refused{"83B8F4F2-509F-382F-3C1E-E6BFE0FA1001", Errc::malformed_uuid,
                "sysfs names the device 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"},
        Refused{"83b8f4f2-509f-382f-3c1e-e6bfe0fa100", Errc::malformed_uuid, "is not a UUID"},
        Refused{"{83b8f4f2-509f-382f-3c1e-e6bfe0fa1001}", Errc::malformed_uuid, "is not a UUID"},
        Refused{"00000000-0000-0000-0000-000000000000", Errc::malformed_uuid, "is the nil UUID"},
        Refused{".", Errc::malformed_device, "'.' can't be the name of an mdev type"},
        Refused{"..", Errc::malformed_device, "'..' can't be the name of an mdev type"},
        Refused{"../..", Errc::malformed_device, "can't be the name of an mdev type"},
        Refused{"i915/x", Errc::malformed_device, "'i915/x' can't be the name of an mdev type"},
        Refused{"i915\n", Errc::malformed_device, "'i915\\x0a' can't be the name"},
        Refused{"i915\x7f", Errc::malformed_device, "'i915\\x7f' can't be the name"},
        Refused{"\xc3\xa4", Errc::malformed_device, "can't be the name of an mdev type"},
        Refused{"i915@", Errc::malformed_device, "'' can't be the name of an mdev parent"},
        Refused{"@0000:00:02.0", Errc::malformed_device, "'' can't be the name of an mdev type"},
        Refused{"i915@..", Errc::malformed_device, "'..' can't be the name of an mdev parent"},
        Refused{"i915@a/b", Errc::malformed_device, "'a/b' can't be the name of an mdev parent"}));

TEST(DeviceRequest, ANulByte) {
    const auto failure = failure_of([] { parse_device(std::string_view("i915\0x", 6)); });
    EXPECT_EQ(failure.code(), Errc::malformed_device);
    EXPECT_EQ(failure.problem(), "'i915\\x00x' has a NUL byte in it");
}

TEST(DeviceRequest, ATooLongName) {
    EXPECT_EQ(failure_of([] { parse_device(std::string(129, 'x')); }).code(),
              Errc::malformed_device);
}

TEST(DeviceRequest, AUuidOnlyForWhatIsToBeMade) {
    for (const char* device : {"/dev/vfio/12", "241:12", "0000:00:02.0", uuid}) {
        const auto failure = failure_of([&] { parse_device(device, uuid); });
        EXPECT_EQ(failure.code(), Errc::invalid_argument) << failure.what();
        EXPECT_EQ(failure.problem(),
                  "a UUID is given, but '" + std::string(device) + "' exists already");
    }
    const auto malformed = failure_of([] { parse_device("i915", "1234"); });
    EXPECT_EQ(malformed.code(), Errc::malformed_uuid);
}

TEST(ParseDevice, AVgpuByWhatItMustHave) {
    auto request = parsed<VgpuRequest>("vgpu:low_gm=128MB,resolution=1920x1200");
    EXPECT_EQ(request.type, std::nullopt);
    EXPECT_EQ(request.parent, std::nullopt);
    EXPECT_EQ(request.minimum.low_gm_mb, 128u);
    EXPECT_EQ(request.minimum.resolution, (config::Resolution{1920, 1200}));
    EXPECT_FALSE(request.keep);
    request = parsed<VgpuRequest>(
        "vgpu:type=i915-GVTg_V4_8,high_gm=1GB,fence=4,weight=2,keep=true@0000:00:02.0", uuid);
    EXPECT_EQ(request.type, "i915-GVTg_V4_8");
    EXPECT_EQ(request.parent, "0000:00:02.0");
    EXPECT_EQ(request.minimum.high_gm_mb, 1024u);
    EXPECT_EQ(request.minimum.fence, 4u);
    EXPECT_EQ(request.minimum.weight, 2u);
    EXPECT_TRUE(request.keep);
    ASSERT_TRUE(request.uuid);
    EXPECT_EQ(request.uuid->text(), uuid);
    for (const char* wrong :
         {"vgpu:", "vgpu:low_gm", "vgpu:low_gm=128", "vgpu:low_gm=1MB,low_gm=2MB", "vgpu:x=1",
          "vgpu:keep=true", "vgpu:low_gm=1MB,", "vgpu:keep=yes,low_gm=1MB", "vgpu:fence=0",
          "vgpu:fence=-1", "vgpu:resolution=big", "vgpu:low_gm=1MB@", "vgpu:low_gm=1MB@a/b",
          "vgpu:type=,low_gm=1MB"})
        try {
            parse_device(wrong);
            ADD_FAILURE() << wrong;
        } catch (const Failure& failure) {
            EXPECT_EQ(failure.code(), Errc::malformed_device) << failure.what();
        }
}

// QEMU takes them for a device it is started with alone.
TEST(ParseDevice, WhatIsForColdPlugAlone) {
    for (const char* key : {"ramfb", "opregion", "x-igd-opregion"})
        try {
            parse_device("vgpu:low_gm=64MB," + std::string(key) + "=on");
            ADD_FAILURE() << key;
        } catch (const Failure& failure) {
            EXPECT_EQ(failure.problem(),
                      std::string(key) + " is for devices that QEMU is started with alone");
        }
}

TEST(VgpuDevice, IsReadBackAsItWasAskedFor) {
    config::Vgpu wanted;
    wanted.type = "i915-GVTg_V4_8";
    EXPECT_EQ(vgpu_device(wanted), "i915-GVTg_V4_8");
    wanted.parent = "0000:00:02.0";
    EXPECT_EQ(vgpu_device(wanted), "i915-GVTg_V4_8@0000:00:02.0");
    wanted.low_gm = "64MB";
    wanted.weight = 2;
    EXPECT_EQ(vgpu_device(wanted), "vgpu:type=i915-GVTg_V4_8,low_gm=64MB,weight=2@0000:00:02.0");
    const auto request = parsed<VgpuRequest>(vgpu_device(wanted));
    EXPECT_EQ(request.type, "i915-GVTg_V4_8");
    EXPECT_EQ(request.minimum.weight, 2u);
    wanted.type.clear();
    wanted.parent.clear();
    wanted.resolution = "1920x1200";
    EXPECT_EQ(vgpu_device(wanted), "vgpu:low_gm=64MB,resolution=1920x1200,weight=2");
}

} // namespace
} // namespace kata_vfio::plugin
