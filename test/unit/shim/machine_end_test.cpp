// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/vm/machine_end.hpp"

#include <gtest/gtest.h>

namespace kata_vfio::shim {
namespace {

std::string of(const std::string& name, const std::string& reason) {
    qemu::Event event;
    event.name = name;
    if (!reason.empty())
        event.data["reason"] = reason;
    return machine_end(event);
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

} // namespace
} // namespace kata_vfio::shim
