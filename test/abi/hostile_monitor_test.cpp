// SPDX-License-Identifier: Apache-2.0
// A monitor that answers with what would fill a client's memory or stack, or with nothing of use,
// and lets nobody in again: a typed error that says whose it was and at what command, and once it
// is well again the sandbox works.
#include "test/abi/world.hpp"

#include <gmock/gmock.h>

namespace kata_vfio::abi_test {
namespace {

using fake::Fault;
using testing::ContainsRegex;
using testing::HasSubstr;

class HostileMonitor : public World, public testing::WithParamInterface<Fault> {};
INSTANTIATE_TEST_SUITE_P(Faults, HostileMonitor, testing::ValuesIn(fake::hostile_faults),
                         testing::PrintToStringParamName());

TEST_P(HostileMonitor, EndsInATypedErrorAndTheSandboxCanBeReopened) {
    start_with_sandbox();
    const auto before = snapshot();
    unsigned struck = 0;
    for (std::size_t nth = 0;; ++nth) { // of the answers to an attach's commands
        SCOPED_TRACE(nth);
        restart(configuration("", "greeting = 300\nquery = 300\ndevice_add = 300\n"
                                  "device_del = 300\nunplug = 400\nunplug_resend = 200"));
        machine->fault_at(nth, GetParam());
        machine->drop_clients(1000);
        const auto answer = host->attach(sandbox, type8, uuid_a);
        const bool over = !machine->struck();
        machine->fault_at(0, Fault::none);
        machine->drop_clients(0);
        if (!over) {
            ++struck;
            ASSERT_FALSE(answer.ok());
            EXPECT_NE(answer.status, KATA_VFIO_E_INTERNAL) << answer;
            EXPECT_THAT(answer.message, HasSubstr("sb1"));
            EXPECT_THAT(answer.message, ContainsRegex("query-[a-z-]+|qom-list|device_add"));
            EXPECT_LT(answer.message.size(), 2000u) << "all of what came is in the message";
        }
        restart(configuration());
        if (over) {
            const auto detached = host->detach(sandbox, uuid_a);
            EXPECT_TRUE(detached.ok()) << detached << answer;
        } else {
            const auto next = host->attach(sandbox, type8, uuid_b);
            EXPECT_TRUE(next.ok()) << next;
            EXPECT_EQ(names("/sys/bus/mdev/devices"), uuid_b);
            const auto detached = host->detach(sandbox, uuid_b);
            EXPECT_TRUE(detached.ok()) << detached << answer;
        }
        EXPECT_EQ(plugged(), std::vector<std::string>{});
        EXPECT_EQ(plugged(), std::vector<std::string>{});
        expect_untouched(before);
        if (over || HasFailure())
            break;
        ASSERT_LT(nth, 30u);
    }
    EXPECT_GE(struck, 3u); // query-pci, query-kvm, device_add
}

} // namespace
} // namespace kata_vfio::abi_test
