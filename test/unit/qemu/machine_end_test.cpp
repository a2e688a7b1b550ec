// SPDX-License-Identifier: Apache-2.0
#include "qemu/machine_end.hpp"

#include <gtest/gtest.h>

namespace kata_vfio::qemu {
namespace {

Event event_of(const std::string& name, const std::string& reason) {
    Event event;
    event.name = name;
    if (!reason.empty())
        event.data["reason"] = reason;
    return event;
}
std::string of(const std::string& name, const std::string& reason) {
    return machine_end(event_of(name, reason));
}

TEST(MachineEnd, IsToldApartByQemusReason) {
    EXPECT_EQ(of("SHUTDOWN", "guest-shutdown"), "the guest switched itself off");
    EXPECT_EQ(of("SHUTDOWN", "guest-reset"),
              "the guest's kernel panicked, or the guest reset its machine");
    EXPECT_EQ(of("SHUTDOWN", "host-signal"), "QEMU was told to by a signal");
    EXPECT_EQ(of("GUEST_PANICKED", ""), "the guest's kernel panicked");
}

TEST(MachineEnd, AnotherReasonIsShownAsItIs) {
    EXPECT_EQ(of("SHUTDOWN", "snapshot-load"), "QEMU says SHUTDOWN, snapshot-load");
    EXPECT_EQ(of("SHUTDOWN", ""), "QEMU says SHUTDOWN, no reason");
}

TEST(MachineEnd, OtherEventsAreNone) {
    EXPECT_EQ(of("DEVICE_DELETED", ""), "");
    EXPECT_EQ(of("RESET", "guest-reset"), "");
}

TEST(MachineEnd, IsInOrderWhenGuestOrClientMeantIt) {
    EXPECT_EQ(ends_in_order(event_of("SHUTDOWN", "guest-shutdown")), true);
    EXPECT_EQ(ends_in_order(event_of("SHUTDOWN", "host-qmp-quit")), true);
    for (const auto* reason : {"guest-reset", "guest-panic", "host-signal", "none", ""})
        EXPECT_EQ(ends_in_order(event_of("SHUTDOWN", reason)), false) << reason;
    EXPECT_EQ(ends_in_order(event_of("GUEST_PANICKED", "")), false);
}

TEST(MachineEnd, OneThatGoesOnHasNotEnded) {
    EXPECT_EQ(ends_in_order(event_of("RESUME", "")), false);
    EXPECT_EQ(ends_in_order(event_of("RESET", "host-qmp-system-reset")), false);
    EXPECT_EQ(ends_in_order(event_of("STOP", "")), std::nullopt); // goes before SHUTDOWN's exit
    EXPECT_EQ(ends_in_order(event_of("DEVICE_DELETED", "")), std::nullopt);
}

} // namespace
} // namespace kata_vfio::qemu
