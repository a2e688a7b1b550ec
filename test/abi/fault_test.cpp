// SPDX-License-Identifier: Apache-2.0
// Whatever the monitor does wrong in the middle of an attach or a detach: nothing is given back
// that QEMU may still have, and the next call finishes what was begun.
#include "test/abi/world.hpp"

namespace kata_vfio::abi_test {
namespace {

using fake::Fault;

class MonitorFault : public World, public testing::WithParamInterface<Fault> {
  protected:
    /// Only silence runs into a limit of time; everything else ends by itself.
    static std::string limits() {
        if (GetParam() != Fault::silence)
            return configuration();
        return configuration("", "greeting = 300\nquery = 300\ndevice_add = 300\ndevice_del = 300\n"
                                 "unplug = 400\nunplug_resend = 200");
    }

    /// A call with the fault at the monitor's nth answer, from 0 until there is no nth. `settle` is
    /// told what the call came to and leaves the host as it was.
    template <class Call, class Settle>
    void at_every_answer(unsigned least, Call call, Settle settle) {
        start_with_sandbox();
        const auto before = snapshot();
        unsigned struck = 0, failed = 0;
        for (std::size_t nth = 0;; ++nth) {
            SCOPED_TRACE(nth);
            restart(limits());
            const auto answer = call(nth);
            const bool over = GetParam() == Fault::none || !machine->struck();
            struck += over ? 0 : 1;
            failed += answer.ok() ? 0 : 1;
            if (!answer.ok()) {
                EXPECT_FALSE(over) << "failed without a fault: " << answer;
                EXPECT_NE(answer.status, KATA_VFIO_E_INTERNAL) << answer;
                EXPECT_FALSE(answer.problem.empty());
            }
            expect_nothing_taken_from_qemu();
            machine->fault_at(0, Fault::none);
            restart(configuration());
            settle(answer);
            EXPECT_EQ(plugged(), std::vector<std::string>{});
            expect_untouched(before);
            if (over || HasFailure())
                break;
            ASSERT_LT(nth, 30u);
        }
        if (GetParam() != Fault::none) {
            EXPECT_GE(struck, least);
        }
        if (GetParam() == Fault::silence) {
            EXPECT_GE(failed, least);
        }
        if (fake::is_harmless(GetParam())) {
            EXPECT_EQ(failed, 0u);
        }
    }

    /// What QEMU has, the host still has: its vGPU and its claim.
    void expect_nothing_taken_from_qemu() const {
        if (plugged().empty())
            return;
        EXPECT_EQ(names("/sys/bus/mdev/devices"), uuid_a);
        EXPECT_NE(names("/run/kata-vfio/claims"), "");
        const auto listed = host->list("sb1");
        EXPECT_TRUE(listed.attachments.size() == 1 ||
                    root.exists("/run/kata-vfio/sandboxes/sb1/journal"))
            << "on no record";
    }
};
INSTANTIATE_TEST_SUITE_P(Faults, MonitorFault, testing::ValuesIn(fake::all_faults),
                         testing::PrintToStringParamName());

TEST_P(MonitorFault, DuringAnAttach) {
    at_every_answer(
        2, // query-pci, device_add
        [this](std::size_t nth) {
            machine->fault_at(nth, GetParam());
            return host->attach(sandbox, type8, uuid_a);
        },
        [this](const Answer& answer) {
            if (answer.ok()) {
                const auto detached = host->detach(sandbox, uuid_a);
                EXPECT_TRUE(detached.ok()) << detached;
                return;
            }
            // The next attach undoes what is left of the failed one, and works.
            const auto next = host->attach(sandbox, type8, uuid_b);
            EXPECT_TRUE(next.ok()) << next;
            EXPECT_EQ(names("/sys/bus/mdev/devices"), uuid_b);
            const auto detached = host->detach(sandbox, uuid_b);
            EXPECT_TRUE(detached.ok()) << detached;
        });
}

TEST_P(MonitorFault, DuringADetach) {
    at_every_answer(
        3, // query-status, device_del, qom-list
        [this](std::size_t nth) {
            const auto attached = host->attach(sandbox, type8, uuid_a);
            EXPECT_TRUE(attached.ok()) << attached;
            machine->fault_at(nth, GetParam());
            return host->detach(sandbox, uuid_a);
        },
        [this](const Answer& answer) {
            if (answer.ok())
                return;
            const auto again = host->detach(sandbox, uuid_a);
            EXPECT_TRUE(again.ok()) << again;
        });
}

} // namespace
} // namespace kata_vfio::abi_test
