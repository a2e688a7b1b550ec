// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/group_plan.hpp"

#include <gmock/gmock.h>

namespace kata_vfio::plugin {
namespace {

using ::testing::ElementsAre;

vfio::PciFunction function(const char* address, std::uint32_t class_code,
                           std::uint8_t header_type = 0) {
    vfio::PciFunction made;
    made.address = vfio::PciAddress::require(address);
    made.class_code = class_code;
    made.header_type = header_type;
    return made;
}

const auto gpu = function("0000:01:00.0", 0x030000);
const auto audio = function("0000:01:00.1", 0x040300);
const auto usb = function("0000:01:00.2", 0x0c0330);
const auto other_audio = function("0000:01:01.0", 0x040300);
const auto bridge = function("0000:00:01.0", 0x060400, 1);
const auto odd_bridge = function("0000:00:01.1", 0x068000);
const std::vector<vfio::PciFunction> group{bridge, odd_bridge, gpu, audio, usb, other_audio};

std::vector<std::string> take(const std::vector<vfio::PciFunction>& asked, TakeSiblings siblings) {
    std::vector<vfio::PciAddress> addresses;
    for (const auto& each : asked)
        addresses.push_back(each.address);
    std::vector<std::string> texts;
    for (const auto& address : plan_group(group, addresses, siblings))
        texts.push_back(address.text());
    return texts;
}

TEST(PlanGroup, NothingUnasked) {
    EXPECT_THAT(take({gpu}, TakeSiblings::no), ElementsAre("0000:01:00.0"));
    EXPECT_THAT(take({usb, gpu}, TakeSiblings::no), ElementsAre("0000:01:00.0", "0000:01:00.2"));
}

TEST(PlanGroup, AGpusAudioInItsOwnSlot) {
    EXPECT_THAT(take({gpu}, TakeSiblings::audio), ElementsAre("0000:01:00.0", "0000:01:00.1"));
    EXPECT_THAT(take({usb}, TakeSiblings::audio), ElementsAre("0000:01:00.2"));
    EXPECT_THAT(take({other_audio}, TakeSiblings::audio), ElementsAre("0000:01:01.0"));
}

TEST(PlanGroup, AllButBridges) {
    EXPECT_THAT(take({usb}, TakeSiblings::all),
                ElementsAre("0000:01:00.0", "0000:01:00.1", "0000:01:00.2", "0000:01:01.0"));
    EXPECT_THAT(take({bridge}, TakeSiblings::no), ElementsAre());
    EXPECT_THAT(take({odd_bridge, gpu}, TakeSiblings::no), ElementsAre("0000:01:00.0"));
}

TEST(PlanGroup, TheSchemasWords) {
    EXPECT_EQ(take_siblings_of("no"), TakeSiblings::no);
    EXPECT_EQ(take_siblings_of("audio"), TakeSiblings::audio);
    EXPECT_EQ(take_siblings_of("all"), TakeSiblings::all);
}

/// "01:00.1->1 01:00.0->0, 01:01.0->0"
std::string slots(const std::vector<const char*>& taken) {
    std::vector<vfio::PciAddress> addresses;
    for (const auto* each : taken)
        addresses.push_back(vfio::PciAddress::require(each));
    std::string text;
    for (const auto& set : plan_slots(addresses)) {
        text += text.empty() ? "" : ", ";
        for (const auto& mate : set)
            text += (&mate == &set.front() ? "" : " ") + mate.address.text().substr(5) + "->" +
                    std::to_string(mate.function);
    }
    return text;
}

TEST(PlanSlots, OneSlotOfTheHostIsOneOfTheGuest) {
    EXPECT_EQ(slots({"0000:01:00.0", "0000:01:00.1"}), "01:00.1->1 01:00.0->0");
    EXPECT_EQ(slots({"0000:01:00.1", "0000:01:01.0", "0000:01:00.0"}),
              "01:00.1->1 01:00.0->0, 01:01.0->0");
    EXPECT_EQ(slots({"0000:01:00.0", "0000:02:00.0", "0001:01:00.1"}),
              "01:00.0->0, 02:00.0->0, 01:00.1->0");
}

TEST(PlanSlots, ThereIsAFunction0) {
    EXPECT_EQ(slots({"0000:00:1f.3"}), "00:1f.3->0");
    EXPECT_EQ(slots({"0000:01:00.2", "0000:01:00.3"}), "01:00.3->1 01:00.2->0");
    EXPECT_EQ(slots({"0000:01:00.0", "0000:01:00.7"}), "01:00.7->7 01:00.0->0");
    EXPECT_EQ(slots({}), "");
}

} // namespace
} // namespace kata_vfio::plugin
