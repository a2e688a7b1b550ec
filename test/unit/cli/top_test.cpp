// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/top.hpp"

#include "command.hpp"

#include <gtest/gtest.h>

namespace kata_vfio::cli {
namespace {

namespace json = boost::json;

qemu::Exchange took(std::int64_t us) {
    qemu::Exchange exchange;
    exchange.sent_us = 1000;
    exchange.answered_us = 1000 + us;
    return exchange;
}

TEST(Top, LatencyOfTheLastHundredAnswered) {
    qemu::Timeline timeline;
    EXPECT_TRUE(qmp_latency(timeline).is_null());
    timeline.exchanges.push_back(took(9'000'000)); // too long ago to count
    for (int i = 0; i < 98; ++i)
        timeline.exchanges.push_back(took(2000));
    timeline.exchanges.push_back(took(40'000));
    timeline.exchanges.push_back(took(1500));
    timeline.exchanges.emplace_back(); // without an answer
    const auto latency = qmp_latency(timeline).as_object();
    EXPECT_EQ(latency.at("commands").to_number<int>(), 100);
    EXPECT_EQ(latency.at("last_ms").to_number<double>(), 1.5);
    EXPECT_EQ(latency.at("median_ms").to_number<double>(), 2.0);
    EXPECT_EQ(latency.at("max_ms").to_number<double>(), 40.0);
}

TEST(Top, ForPeople) {
    const auto look = json::parse(R"({"time": "2026-11-26T21:10:03Z", "devices": 1, "pending": 1,
        "sandboxes": [{"sandbox": "s1", "machine": "pc-i440fx-7.2", "tainted": [],
          "qmp": {"commands": 7, "last_ms": 1.25, "median_ms": 1.0, "max_ms": 40.0},
          "attachments": [{"sandbox": "s1", "id": "vfio-1", "kind": "mdev", "device": "x",
            "host_address": "0000:00:02.0", "uuid": "u", "mdev_type": "i915-GVTg_V4_8",
            "sysfsdev": "/sys", "guest_address": "0000:00:05.0", "iommu_group": 3, "owned": true,
            "unplugged": false, "own": false, "prepared": false, "keep": false, "vf_of": null,
            "pending": {"pid": 4711, "start": 1, "command": "qemu"}}]}],
        "unreadable": [{"sandbox": "s2", "error": {}}],
        "types": [{"type": "i915-GVTg_V4_8", "parent": "0000:00:02.0", "available_instances": 3}]
      })")
                          .as_object();
    const auto text = top_text(look);
    EXPECT_TRUE(text.starts_with(
        "kata-vfio top  2026-11-26T21:10:03Z  1 sandbox, 1 device, 1 pending\nunreadable: s2\n"))
        << text;
    EXPECT_NE(text.find("s1       7         1.2      1.0        40.0\n"), text.npos) << text;
    EXPECT_NE(text.find("i915-GVTg_V4_8  0000:00:02.0  3\n"), text.npos) << text;
    EXPECT_NE(text.find("0000:00:05.0"), text.npos) << text;
}

TEST(Top, WrongUsage) {
    EXPECT_EQ(command({"top", "--interval", "0"}).status, 2);
    EXPECT_EQ(command({"top", "--count", "0"}).status, 2);
}

} // namespace
} // namespace kata_vfio::cli
