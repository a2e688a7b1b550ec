// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/daemon/qmp_events.hpp"

#include <gtest/gtest.h>

namespace kata_vfio::daemon {
namespace {

qemu::Event event(const std::string& name, std::size_t bytes = 0) {
    qemu::Event made;
    made.name = name;
    if (bytes > 0)
        made.data["text"] = std::string(bytes, 'x');
    return made;
}

v1::EventsResponse message(QmpEvents& events) {
    auto next = events.next();
    v1::EventsResponse response;
    auto* bytes = std::get_if<grpc::ByteBuffer>(&next);
    EXPECT_TRUE(bytes);
    grpc::Slice slice;
    if (bytes && bytes->DumpToSingleSlice(&slice).ok()) {
        EXPECT_TRUE(response.ParseFromArray(slice.begin(), static_cast<int>(slice.size())));
    }
    return response;
}

TEST(QmpEventsOfAClient, FirstThatItIsConnectedThenEachInOrderThenTheEnd) {
    QmpEvents events("7.2.22");
    events.add(event("STOP"));
    events.add(event("RESUME"));
    events.lost(Failure(Errc::qemu_gone, "QEMU closed the connection"), "sb1");
    EXPECT_EQ(message(events).connected().qemu_version(), "7.2.22");
    EXPECT_NE(message(events).event_json().find("\"STOP\""), std::string::npos);
    EXPECT_NE(message(events).event_json().find("\"RESUME\""), std::string::npos);
    for (int i = 0; i < 2; ++i) {
        auto next = events.next();
        const auto* end = std::get_if<grpc::Status>(&next);
        ASSERT_TRUE(end);
        EXPECT_EQ(rpc::failure_of(*end).code(), Errc::qemu_gone);
    }
}

TEST(QmpEventsOfAClient, WhoDoesNotReadIsCutOffAndWhatWaitedIsLetGo) {
    QmpEvents events("7.2.22");
    for (std::size_t i = 1; i < QmpEvents::most_waiting; ++i)
        events.add(event("RTC_CHANGE"));
    EXPECT_FALSE(events.too_slow());
    events.add(event("RTC_CHANGE"));
    ASSERT_TRUE(events.too_slow());
    EXPECT_EQ(events.too_slow()->error_code(), grpc::RESOURCE_EXHAUSTED);
    events.add(event("RTC_CHANGE"));
    auto next = events.next();
    EXPECT_TRUE(std::holds_alternative<grpc::Status>(next));
}

TEST(QmpEventsOfAClient, WhoReadsMayGetAnyNumberOfThem) {
    QmpEvents events("7.2.22");
    (void)message(events);
    for (std::size_t i = 0; i < 3 * QmpEvents::most_waiting; ++i) {
        events.add(event("RTC_CHANGE"));
        EXPECT_FALSE(message(events).event_json().empty());
    }
    EXPECT_FALSE(events.too_slow());
}

TEST(QmpEventsOfAClient, LargeOnesCountByTheirBytesButOneAloneIsGiven) {
    QmpEvents events("7.2.22");
    (void)message(events);
    events.add(event("HUGE", QmpEvents::most_bytes + 1));
    EXPECT_FALSE(events.too_slow());
    EXPECT_GT(message(events).event_json().size(), QmpEvents::most_bytes);
    events.add(event("LARGE", QmpEvents::most_bytes / 2));
    events.add(event("LARGE", QmpEvents::most_bytes / 2));
    EXPECT_TRUE(events.too_slow());
}

} // namespace
} // namespace kata_vfio::daemon
