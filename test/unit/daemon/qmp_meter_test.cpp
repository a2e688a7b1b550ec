// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/daemon/qmp_meter.hpp"

#include <gtest/gtest.h>

namespace kata_vfio::daemon {
namespace {

struct Meter : testing::Test {
    void take(v1::TraceRecord::Kind kind, std::int64_t us, const std::string& text,
              std::uint64_t connection = 1) {
        v1::TraceRecord record;
        record.set_kind(kind);
        record.set_monotonic_us(us);
        record.set_time_us(wall_us -= 1'000'000); // somebody sets the clock back, again and again
        record.set_text(text);
        record.set_connection(connection);
        meter.take("s1", record);
    }
    std::int64_t wall_us = 0;
    std::vector<std::string> told;
    QmpMeter meter{
        1000, [this](const std::string& command, Metrics::Duration took) {
            told.push_back(
                command + " " +
                std::to_string(
                    std::chrono::duration_cast<std::chrono::microseconds>(took).count()));
        }};
};
constexpr auto sent = v1::TraceRecord::KIND_SENT;
constexpr auto received = v1::TraceRecord::KIND_RECEIVED;
using Strings = std::vector<std::string>;

TEST_F(Meter, AnswersInAnyOrderByConnectionAndId) {
    take(sent, 2000, R"({"execute":"device_add","id":1})");
    take(sent, 2100, R"({"execute":"query-pci","id":2})");
    take(sent, 2200, R"({"execute":"stop","id":1})", 2);
    take(received, 2300, R"({"return":{},"id":2})");
    take(received, 2400, R"({"event":"STOP"})");
    take(received, 2500, R"({"return":{},"id":1})");
    take(received, 2600, R"({"return":{},"id":1})", 2);
    EXPECT_EQ(told, (Strings{"query-pci 200", "device_add 500", "stop 400"}));
}

TEST_F(Meter, WhatQemuRefusesIsNoLabel) {
    take(sent, 2000, R"({"execute":"no-such-thing-17","id":"a"})");
    take(received, 2300, R"({"error":{"class":"CommandNotFound"},"id":"a"})");
    take(received, 2400, R"({"return":{},"id":"a"})");
    EXPECT_EQ(told, Strings{});
}

TEST_F(Meter, WhatWasBeforeOrIsNoJsonIsLeftOut) {
    take(sent, 999, R"({"execute":"stop","id":1})");
    take(received, 1001, R"({"return":{},"id":1})");
    take(sent, 2000, "{");
    take(v1::TraceRecord::KIND_TORN, 2000, R"({"execute":"cont","id":3})");
    take(received, 2001, R"({"return":{},"id":3})");
    EXPECT_EQ(told, Strings{});
}

} // namespace
} // namespace kata_vfio::daemon
