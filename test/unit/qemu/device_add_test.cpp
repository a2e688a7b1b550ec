// SPDX-License-Identifier: Apache-2.0
#include "qemu/device_add.hpp"

#include "config/base/failure.hpp"

#include <boost/json/serialize.hpp>
#include <gtest/gtest.h>

using namespace kata_vfio;
using namespace kata_vfio::qemu;

namespace {

std::string refusal(const VfioDevice& device) {
    try {
        (void)encode_device_add(device);
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.code(), Errc::invalid_argument);
        return failure.what();
    }
    return "accepted";
}

} // namespace

TEST(DeviceAdd, PlainDevice) {
    const VfioDevice device("gpu0", "/sys/bus/pci/devices/0000:00:02.0");
    EXPECT_EQ(boost::json::serialize(encode_device_add(device)),
              R"({"driver":"vfio-pci","id":"gpu0","bus":"pci.0",)"
              R"("sysfsdev":"/sys/bus/pci/devices/0000:00:02.0"})");
}

TEST(DeviceAdd, TypesAreWhatQemu10Checks) {
    VfioDevice device("vgpu-1.a_b", "/sys/bus/mdev/devices/u");
    device.addr = "05.0";
    device.multifunction = false;
    device.rombar = 0;
    device.romfile = "";
    device.display = "off";
    device.iommufd = "vfio-iommufd";
    const auto arguments = encode_device_add(device);
    EXPECT_TRUE(arguments.at("addr").is_string()); // an integer would be a devfn there
    EXPECT_TRUE(arguments.at("multifunction").is_bool());
    EXPECT_TRUE(arguments.at("rombar").is_int64());
    EXPECT_EQ(arguments.at("romfile"), "");
    EXPECT_EQ(arguments.at("display"), "off");
    EXPECT_EQ(arguments.at("iommufd"), "vfio-iommufd");
}

TEST(DeviceAdd, IdsQemuCouldNotAddressAgain) {
    for (const char* id : {"1bad", "bad id", "a/b", "", "-x", "a\n", "\xc3\xa4", "_a"}) {
        EXPECT_FALSE(is_device_id(id)) << id;
        EXPECT_NE(refusal(VfioDevice(id, "/sys/x")).find("is not [A-Za-z][A-Za-z0-9._-]*"),
                  std::string::npos)
            << id;
    }
    for (const char* id : {"a", "Z9", "kv-0000.00_1"})
        EXPECT_TRUE(is_device_id(id)) << id;
}

TEST(DeviceAdd, Addresses) {
    const auto slot = [](const char* text) {
        const auto addr = parse_addr(text);
        return addr ? static_cast<int>(addr->slot * 8 + addr->function) : -1;
    };
    EXPECT_EQ(slot("05.0"), 5 * 8);
    EXPECT_EQ(slot("5"), 5 * 8);
    EXPECT_EQ(slot("1f.7"), 31 * 8 + 7);
    EXPECT_EQ(slot("1F"), 31 * 8);
    for (const char* bad : {"20", "05.8", "05.", ".0", "", "0x6", "005", "5.00", "g", "5.0 "})
        EXPECT_EQ(slot(bad), -1) << bad;
    VfioDevice device("a", "/sys/x");
    device.addr = "20";
    EXPECT_EQ(refusal(device),
              "addr '20' is not a hexadecimal slot 00-1f with an optional function .0-.7");
}

TEST(DeviceAdd, VfioNeedsItsHostDevice) {
    EXPECT_EQ(refusal(VfioDevice("a")), "vfio-pci device a has no sysfsdev");
    VfioDevice device("a");
    device.driver = "virtio-rng-pci";
    EXPECT_EQ(refusal(device), "accepted");
    device.display = "true";
    EXPECT_EQ(refusal(device), "display 'true' is not on, off or auto");
}
