// SPDX-License-Identifier: Apache-2.0
#include "qemu/pci_slots.hpp"

#include <boost/json/parse.hpp>
#include <gtest/gtest.h>

using namespace kata_vfio;
using namespace kata_vfio::qemu;

namespace {

RootBus parse(const std::string& devices) {
    return RootBus::parse(boost::json::parse("[{\"bus\": 0, \"devices\": [" + devices + "]}]"));
}

const std::string chipset =
    R"({"bus":0,"slot":0,"function":0,"qdev_id":"","class_info":{"class":1536,"desc":"Host bridge"},)"
    R"("id":{"vendor":32902,"device":4663},"irq_pin":0,"regions":[]},)"
    R"({"bus":0,"slot":1,"function":3,"qdev_id":"","class_info":{"class":1664,"desc":"Bridge"},)"
    R"("id":{"vendor":32902,"device":28947}})";

std::string at(int slot, const std::string& id) {
    return R"(,{"bus":0,"slot":)" + std::to_string(slot) + R"(,"function":0,"qdev_id":")" + id +
           R"(","class_info":{"class":768,"desc":"VGA controller"},"id":{"vendor":32902,"device":23173}})";
}

} // namespace

TEST(RootBus, ReadsWhatQueryPciSays) {
    const auto bus = parse(chipset + at(10, "gpu0"));
    ASSERT_EQ(bus.devices().size(), 3u);
    const auto* gpu = bus.find("gpu0");
    ASSERT_TRUE(gpu);
    EXPECT_EQ(gpu->guest_address(), "0000:00:0a.0");
    EXPECT_EQ(gpu->vendor, 0x8086);
    EXPECT_EQ(gpu->device, 0x5a85);
    EXPECT_EQ(gpu->class_code, 0x0300);
    EXPECT_EQ(gpu->label(), "0a.0 gpu0 (8086:5a85)");
    EXPECT_EQ(bus.devices()[0].label(), "00.0 Host bridge (8086:1237)");
    EXPECT_EQ(bus.find("other"), nullptr);
    EXPECT_EQ(bus.occupant(1)->function, 3u);
    EXPECT_EQ(bus.occupant(2), nullptr);
    EXPECT_EQ(guest_address(31, 7), "0000:00:1f.7");
}

TEST(RootBus, CountsSlots2To31) {
    auto bus = parse(chipset);
    EXPECT_EQ(bus.free_slots().size(), 30u);
    EXPECT_EQ(bus.next_free(), 2u);
    bus = parse(chipset + at(2, "a") + at(4, "b"));
    EXPECT_EQ(bus.next_free(), 3u);
    EXPECT_EQ(bus.free_slots().size(), 28u);
    EXPECT_EQ(bus.free_slots().back(), 31u);
}

TEST(RootBus, FullSaysWhoOccupiesIt) {
    std::string all = chipset;
    for (int slot = 2; slot <= 31; ++slot)
        all += at(slot, "d" + std::to_string(slot));
    const auto bus = parse(all);
    EXPECT_FALSE(bus.next_free());
    const auto failure = bus.full(1);
    EXPECT_EQ(failure.code(), Errc::root_bus_full);
    EXPECT_EQ(failure.problem(), "the root bus pci.0 has no free slot: all of 02 to 1f are taken");
    EXPECT_TRUE(failure.blocker().starts_with("02.0 d2 (8086:5a85), 03.0 d3 "));
    EXPECT_TRUE(failure.blocker().ends_with(" and 1f.0 d31 (8086:5a85)"));
}

TEST(RootBus, OtherBusesDoNotCount) {
    const auto bus = RootBus::parse(boost::json::parse(
        R"([{"bus":1,"devices":[{"bus":1,"slot":4,"function":0,"qdev_id":"x"}]},)"
        R"({"bus":0,"devices":[{"slot":3,"function":0,"qdev_id":"bridge",)"
        R"("pci_bridge":{"devices":[{"slot":7,"qdev_id":"behind"}]}}]}])"));
    EXPECT_EQ(bus.devices().size(), 1u);
    EXPECT_EQ(bus.find("behind"), nullptr);
    EXPECT_EQ(bus.next_free(), 2u);
}

TEST(RootBus, IsTolerantButNeedsABus) {
    const auto bus = parse(R"({"slot":"five","qdev_id":7,"id":[],"class_info":null}, 5, "x")");
    ASSERT_EQ(bus.devices().size(), 1u);
    EXPECT_EQ(bus.devices()[0].label(), "00.0 (0000:0000)");
    const auto empty = RootBus::parse(boost::json::parse(R"([{"bus":0}])"));
    EXPECT_TRUE(empty.devices().empty());
    for (const char* text : {"[]", "{}", "null", R"([{"bus":1}])", R"([{"devices":[]}])"})
        EXPECT_THROW((void)RootBus::parse(boost::json::parse(text)), Failure) << text;
}

// Cut to 32 and 16 bits these would be slot 5, function 1 and 8086:1237.
TEST(RootBus, NumbersOutOfRangeAreNotCutToSize) {
    const auto bus =
        parse(R"({"slot":4294967301,"function":4294967297,"qdev_id":"far",)"
              R"("id":{"vendor":98438,"device":70199}},)"
              R"({"slot":32,"function":8},{"slot":-1,"function":18446744073709551615})");
    ASSERT_EQ(bus.devices().size(), 3u);
    EXPECT_EQ(bus.devices()[0].label(), "00.0 far (0000:0000)");
    EXPECT_EQ(bus.free_slots().size(), 30u);
    for (const char* text : {R"([{"bus":-1}])", R"([{"bus":"0"}])", R"([{"bus":null}])"})
        EXPECT_THROW((void)RootBus::parse(boost::json::parse(text)), Failure) << text;
}
