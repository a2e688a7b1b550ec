// SPDX-License-Identifier: Apache-2.0
#include "qemu/guest_facts.hpp"

#include <boost/json.hpp>
#include <gmock/gmock.h>

namespace kata_vfio::qemu {
namespace {

using ::testing::ElementsAre;
namespace json = boost::json;

constexpr std::uint64_t mib = std::uint64_t{1} << 20, gib = mib << 10;

TEST(GuestFacts, Kvm) {
    EXPECT_EQ(parse_kvm(json::parse(R"({"enabled": true, "present": true})")), true);
    EXPECT_EQ(parse_kvm(json::parse(R"({"enabled": false, "present": true})")), false);
    for (const auto* text : {"{}", "null", "[]", R"({"enabled": 1})"})
        EXPECT_EQ(parse_kvm(json::parse(text)), std::nullopt) << text;
}

TEST(GuestFacts, Memory) {
    GuestFacts facts;
    parse_memory(json::parse(R"({"base-memory": 2147483648, "plugged-memory": 1048576})"), facts);
    EXPECT_EQ(facts.base_memory, 2 * gib);
    EXPECT_EQ(facts.memory, 2 * gib + mib);
    parse_memory(json::parse(R"({"base-memory": 2147483648})"), facts);
    EXPECT_EQ(facts.memory, 2 * gib);
    GuestFacts nothing;
    for (const auto* text : {"{}", "null", R"({"base-memory": -1})", R"({"base-memory": "1"})"})
        parse_memory(json::parse(text), nothing);
    EXPECT_EQ(nothing.memory, std::nullopt);
    EXPECT_EQ(parse_balloon(json::parse(R"({"actual": 1048576})")), mib);
    EXPECT_EQ(parse_balloon(json::parse("null")), std::nullopt);
}

TEST(GuestFacts, VirtioMem) {
    const auto found = parse_virtio_mem(json::parse(
        R"([{"type": "dimm", "data": {"id": "d0", "size": 1048576}},
            {"type": "virtio-mem", "data": {"id": "vm0", "max-size": 4294967296,
                                            "block-size": 2097152, "size": 0}},
            {"type": "virtio-mem", "data": 7}, 9, {"type": 5, "data": {}}])"));
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0].id, "vm0");
    EXPECT_EQ(found[0].max_size, 4 * gib);
    EXPECT_EQ(found[0].block_size, 2 * mib);
    EXPECT_TRUE(parse_virtio_mem(json::parse("{}")).empty());
}

TEST(RootWindow, WhatIsTaken) {
    const auto taken = parse_taken(json::parse(
        R"([{"bus": 0, "devices": [
              {"slot": 2, "regions": [
                 {"bar": 0, "type": "memory", "address": 4244635648, "size": 16777216},
                 {"bar": 1, "type": "io", "address": 49152, "size": 64},
                 {"bar": 2, "type": "memory", "address": -1, "size": 4096},
                 {"bar": 3, "type": "memory", "size": 4096}, 7]},
              {"slot": 3, "regions": [], "pci_bridge": {"bus": {
                 "memory_range": {"base": 4261412864, "limit": 4263510015},
                 "prefetchable_range": {"base": 4294967280, "limit": 15}}}},
              9]},
            {"bus": 1, "devices": [{"regions": [
                 {"type": "memory", "address": 1, "size": 1}]}]}])"));
    EXPECT_THAT(taken, ElementsAre(AddressRange{0xfd000000, 0xfe000000},
                                   AddressRange{0xfe000000, 0xfe200000}));
    EXPECT_TRUE(parse_taken(json::parse("null")).empty());
}

TEST(RootWindow, Holes) {
    const auto hole = [](const char* start, const char* end) {
        return parse_hole(json::parse(start), json::parse(end));
    };
    EXPECT_EQ(hole("2147483648", "4273995776"), (AddressRange{0x80000000, 0xfec00000}));
    EXPECT_EQ(hole("0", "0"), std::nullopt);
    EXPECT_EQ(hole("2", "1"), std::nullopt);
    EXPECT_EQ(hole("null", "1"), std::nullopt);
}

RootWindow window(std::optional<AddressRange> high = std::nullopt) {
    RootWindow made;
    made.low = AddressRange{0xc0000000, 0xfec00000};
    made.high = high;
    made.taken = {{0xfd000000, 0xfe000000}};
    return made;
}

struct Row {
    const char* what;
    RootWindow window;
    std::vector<WantedBar> bars;
    std::optional<Misfit> expected;
};

TEST(RootWindow, ByTable) {
    const AddressRange high{0x100000000, 0x100000000 + 4 * gib};
    RootWindow before_firmware = window();
    before_firmware.taken.clear();
    const WantedBar mmio{0, 16 * mib, false}, aperture{2, 256 * mib, true}, big{1, 2 * gib, true},
        big32{3, 2 * gib, false};
    const Row rows[] = {
        {"a GPU's two", window(), {mmio, aperture}, std::nullopt},
        {"none", window(), {}, std::nullopt},
        {"2 GB low", window(), {big}, Misfit{big, 976 * mib}},
        {"2 GB high", window(high), {big}, std::nullopt},
        {"a 32-bit one can't go high", window(high), {big32}, Misfit{big32, 976 * mib}},
        {"twice 2 GB high", window(high), {big, big}, std::nullopt},
        {"three times", window(high), {big, big, big}, Misfit{big, 976 * mib}},
        {"the largest first", window(), {aperture, aperture, aperture, mmio}, std::nullopt},
        {"256 MB four times, with 16 MB in the last",
         window(),
         {aperture, aperture, aperture, aperture},
         Misfit{aperture, 208 * mib}},
        {"before the firmware nothing is known", before_firmware, {big}, std::nullopt},
        {"nor without a window", RootWindow{}, {big}, std::nullopt},
    };
    for (const auto& row : rows)
        EXPECT_EQ(find_misfit(row.window, row.bars), row.expected) << row.what;
}

} // namespace
} // namespace kata_vfio::qemu
