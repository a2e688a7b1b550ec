// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/command.hpp"

#include <gtest/gtest.h>

using namespace kata_vfio::qemu;
using namespace std::chrono_literals;

TEST(Command, IsOneCompactLine) {
    EXPECT_EQ(serialise(query_status(), 1), "{\"execute\":\"query-status\",\"id\":1}\n");
    EXPECT_EQ(
        serialise(qom_get("/machine", "type"), 12),
        "{\"execute\":\"qom-get\",\"arguments\":{\"path\":\"/machine\",\"property\":\"type\"},"
        "\"id\":12}\n");
    EXPECT_EQ(serialise(device_del("gpu0"), 3),
              "{\"execute\":\"device_del\",\"arguments\":{\"id\":\"gpu0\"},\"id\":3}\n");
    EXPECT_EQ(serialise(Command("x", {{"text", "a\nb\"c"}}), 4),
              "{\"execute\":\"x\",\"arguments\":{\"text\":\"a\\nb\\\"c\"},\"id\":4}\n");
}

TEST(Command, ItsClassDecidesTheDeadline) {
    Timeouts timeouts;
    timeouts.query = 1ms;
    timeouts.device_add = 2ms;
    timeouts.device_del = 3ms;
    EXPECT_EQ(timeouts.of(query_pci().cls), 1ms);
    EXPECT_EQ(timeouts.of(qom_list("/machine").cls), 1ms);
    EXPECT_EQ(timeouts.of(device_add({}).cls), 2ms);
    EXPECT_EQ(timeouts.of(device_del("x").cls), 3ms);
}
