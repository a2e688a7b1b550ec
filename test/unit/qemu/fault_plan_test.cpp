// SPDX-License-Identifier: Apache-2.0
// Every conversation we have with QEMU, with every fault at every step. Whatever happens, it ends:
// in the same success, or in a Failure that says truly what is left in QEMU.
#include "qemu/hotplug.hpp"
#include "qemu/machine.hpp"
#include "test/fixtures/fake_qmp/fake_machine.hpp"
#include "test/fixtures/fake_qmp/fake_qmp.hpp"
#include "test/fixtures/fake_qmp/run.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

using namespace kata_vfio;
using namespace kata_vfio::qemu;
using namespace std::chrono_literals;
using fake::Delivery;
using fake::FakeMachine;
using fake::FakeQmp;
using fake::Fault;
using fake::run;
namespace asio = boost::asio;
namespace json = boost::json;

namespace {

/// Only a silent peer makes anything wait for a deadline; everything else ends by itself.
Timeouts timeouts_for(Fault fault) {
    Timeouts timeouts;
    timeouts.greeting = timeouts.query = timeouts.device_add = timeouts.device_del = 30s;
    timeouts.unplug = 30s;
    if (fault == Fault::silence) {
        timeouts.greeting = timeouts.query = timeouts.device_add = timeouts.device_del = 60ms;
        timeouts.unplug = 100ms;
        timeouts.unplug_resend = 40ms;
    }
    return timeouts;
}

VfioDevice gpu() {
    return VfioDevice("gpu0", "/sys/bus/mdev/devices/c73f1fa6-489e-4834-9476-d70dabd98c40");
}

using Client = asio::awaitable<std::string> (*)(std::string path, Timeouts timeouts);

asio::awaitable<std::string> handshake(std::string path, Timeouts timeouts) {
    const auto session = co_await Session::connect(std::move(path), timeouts);
    co_return session->greeting().version();
}
asio::awaitable<std::string> machine_check(std::string path, Timeouts timeouts) {
    const auto session = co_await Session::connect(std::move(path), timeouts);
    co_return co_await require_pc_machine(*session);
}
asio::awaitable<std::string> plug_it(std::string path, Timeouts timeouts) {
    const auto session = co_await Session::connect(std::move(path), timeouts);
    auto device = gpu();
    const auto plugged = co_await plug(*session, std::move(device));
    co_return plugged.guest_address;
}
asio::awaitable<std::string> unplug_it(std::string path, Timeouts timeouts) {
    const auto session = co_await Session::connect(std::move(path), timeouts);
    co_await unplug(*session, "gpu0");
    co_return "gone";
}

json::value empty_bus() {
    return json::array{json::object{{"bus", 0}, {"devices", json::array()}}};
}

struct Conversation {
    const char* name;
    Client client;
    const char* result;
    std::function<FakeQmp&(FakeQmp&)> script;
    const char* point_of_no_return; ///< once QEMU has this command, `absent` would be a guess

    friend std::ostream& operator<<(std::ostream& out, const Conversation& conversation) {
        return out << conversation.name;
    }
};

const Conversation conversations[] = {
    {"Handshake", handshake, "7.2.22 (fake)",
     [](FakeQmp& peer) -> FakeQmp& { return peer.greeting().capabilities().expect_hangup(); },
     "none"},
    {"MachineCheck", machine_check, "pc-i440fx-7.2",
     [](FakeQmp& peer) -> FakeQmp& {
         return peer.greeting()
             .capabilities()
             .expect("qom-get", {{"path", "/machine"}, {"property", "type"}})
             .reply("pc-i440fx-7.2-machine")
             .expect_hangup();
     },
     "none"},
    {"Plug", plug_it, "0000:00:02.0",
     [](FakeQmp& peer) -> FakeQmp& {
         return peer.greeting()
             .capabilities()
             .expect("query-pci")
             .reply(empty_bus())
             .expect("device_add", {{"id", "gpu0"}, {"bus", "pci.0"}, {"addr", "02.0"}})
             .reply()
             .expect_hangup();
     },
     "device_add"},
    {"Unplug", unplug_it, "gone",
     [](FakeQmp& peer) -> FakeQmp& {
         return peer.greeting()
             .capabilities()
             .expect("query-status")
             .reply({{"status", "running"}, {"running", true}})
             .expect("device_del", {{"id", "gpu0"}})
             .reply()
             .event("DEVICE_DELETED", {{"path", "/machine/peripheral/gpu0/child"}})
             .event("DEVICE_DELETED", {{"device", "gpu0"}, {"path", "/machine/peripheral/gpu0"}})
             .expect("qom-list", {{"path", "/machine/peripheral"}})
             .reply(json::array{json::object{{"name", "type"}, {"type", "string"}}})
             .expect_hangup();
     },
     "none"},
};

struct Outcome {
    std::string result; ///< "" when it failed
    Errc code = Errc::ok;
    std::string text;
    std::optional<DeviceState> left;
};
std::ostream& operator<<(std::ostream& out, const Outcome& outcome) {
    return out << (outcome.result.empty() ? outcome.text : outcome.result);
}

Outcome run_client(Client client, const std::string& path, Fault fault) {
    Outcome outcome;
    try {
        outcome.result = run([&] { return client(path, timeouts_for(fault)); });
    } catch (const HotplugFailure& failure) {
        outcome.code = failure.code();
        outcome.text = failure.what();
        outcome.left = failure.left();
    } catch (const Failure& failure) {
        outcome.code = failure.code();
        outcome.text = failure.what();
    }
    return outcome;
}

const std::set<Errc>& expected_codes(Fault fault) {
    static const std::set<Errc> ended{Errc::qemu_gone},
        silent{Errc::monitor_busy, Errc::qmp_timeout, Errc::unplug_timeout},
        strange{Errc::not_qmp, Errc::qmp_protocol},
        // In place of a greeting it is a proxy's word that it has no place.
        refused{Errc::monitor_busy, Errc::qmp_protocol};
    if (fake::ends_connection(fault))
        return ended;
    if (fault == Fault::bare_error)
        return refused;
    return fault == Fault::silence ? silent : strange;
}

/// What holds whatever the conversation.
void expect_typed(const Outcome& outcome, Fault fault) {
    if (!outcome.result.empty())
        return;
    EXPECT_TRUE(expected_codes(fault).contains(outcome.code))
        << name(outcome.code) << ": " << outcome.text;
    EXPECT_FALSE(outcome.text.empty());
}

template <class T>
std::string printed(T value) {
    return testing::PrintToString(value);
}

using Plan = std::tuple<Conversation, Delivery, Fault>;
class Script : public testing::TestWithParam<Plan> {};
INSTANTIATE_TEST_SUITE_P(Faults, Script,
                         testing::Combine(testing::ValuesIn(conversations),
                                          testing::Values(Delivery::as_is, Delivery::byte_by_byte,
                                                          Delivery::coalesced),
                                          testing::ValuesIn(fake::all_faults)),
                         [](const auto& param) {
                             return std::get<0>(param.param).name +
                                    printed(std::get<1>(param.param)) + "_" +
                                    printed(std::get<2>(param.param));
                         });

class MachineFault : public testing::TestWithParam<Fault> {};
INSTANTIATE_TEST_SUITE_P(Faults, MachineFault, testing::ValuesIn(fake::all_faults),
                         testing::PrintToStringParamName());

bool holds(const FakeMachine& machine) {
    const auto ids = machine.devices();
    return std::find(ids.begin(), ids.end(), "gpu0") != ids.end();
}

/// What is said to be left is what is there.
void expect_truth(const Outcome& outcome, const FakeMachine& machine) {
    if (outcome.left == DeviceState::absent) {
        EXPECT_FALSE(holds(machine)) << outcome.text;
    }
    if (outcome.left == DeviceState::present) {
        EXPECT_TRUE(holds(machine)) << outcome.text;
    }
}

/// The fault is over: the next session finds a machine that can be worked with.
void expect_usable(FakeMachine& machine) {
    if (!holds(machine)) {
        const auto address =
            run([&] { return plug_it(machine.path(), timeouts_for(Fault::none)); });
        EXPECT_EQ(address, "0000:00:02.0");
    }
    EXPECT_EQ(run([&] { return unplug_it(machine.path(), timeouts_for(Fault::none)); }), "gone");
    EXPECT_FALSE(holds(machine));
}

} // namespace

TEST_P(Script, AtEveryStep) {
    const auto& [conversation, delivery, fault] = GetParam();
    FakeQmp counted;
    const auto steps = conversation.script(counted).steps();
    unsigned failed = 0;
    for (std::size_t step = 0; step < steps; ++step) {
        SCOPED_TRACE(step);
        FakeQmp peer(delivery);
        conversation.script(peer).inject(step, fault).start();
        // Silence behind the last answer keeps nobody waiting.
        const auto pace = step == steps - 1 ? Fault::none : fault;
        const auto outcome = run_client(conversation.client, peer.path(), pace);
        EXPECT_EQ(peer.finish(), std::vector<std::string>{});
        expect_typed(outcome, fault);
        if (outcome.result.empty()) {
            ++failed;
            // The step before the greeting is the only one where noise can be taken for another
            // protocol; the last waits for our own hang-up.
            EXPECT_FALSE(fake::is_harmless(fault) && step > 0) << outcome;
            EXPECT_NE(step, steps - 1) << outcome;
            if (fault == Fault::reset && step > 0) { // before that the client has said nothing
                EXPECT_NE(outcome.text.find("Connection reset by peer"), std::string::npos)
                    << outcome;
            }
        } else {
            EXPECT_EQ(outcome.result, conversation.result);
        }
        const auto& got = peer.received();
        const bool sent =
            std::find(got.begin(), got.end(), conversation.point_of_no_return) != got.end();
        EXPECT_FALSE(sent && outcome.left == DeviceState::absent) << outcome;
    }
    // An ended or silent connection is noticed wherever it happens.
    if (fake::ends_connection(fault) || fault == Fault::silence) {
        EXPECT_EQ(failed, steps - 1);
    }
    if (fault == Fault::none) {
        EXPECT_EQ(failed, 0u);
    }
    if (fault == Fault::garbage || fault == Fault::inf_id || fault == Fault::bare_error) {
        EXPECT_GE(failed, 2u); // in the handshake at least
    }
}

TEST_P(MachineFault, DuringAPlugTheStateReportedIsTrue) {
    const auto fault = GetParam();
    unsigned failed = 0, struck = 0;
    for (std::size_t nth = 0;; ++nth) {
        SCOPED_TRACE(nth);
        FakeMachine machine;
        machine.fault_at(nth, fault);
        const auto outcome = run_client(plug_it, machine.path(), fault);
        expect_typed(outcome, fault);
        expect_truth(outcome, machine);
        failed += outcome.result.empty() ? 1 : 0;
        EXPECT_TRUE(outcome.result.empty() || holds(machine));
        const bool over = !machine.struck() || fault == Fault::none;
        struck += over ? 0 : 1;
        // A fault that has been lived through is not met by the next client.
        machine.fault_at(0, Fault::none);
        expect_usable(machine);
        if (over)
            break;
        ASSERT_LT(nth, 30u);
    }
    if (fault != Fault::none) {
        EXPECT_GE(struck, 4u); // greeting, capabilities, query-pci, device_add
    }
    if (fake::ends_connection(fault)) {
        EXPECT_EQ(failed, 4u);
    }
    if (fake::is_harmless(fault)) {
        EXPECT_LE(failed, 1u);
    }
}

TEST_P(MachineFault, DuringAnUnplugTheStateReportedIsTrue) {
    const auto fault = GetParam();
    unsigned failed = 0, struck = 0;
    for (std::size_t nth = 0;; ++nth) {
        SCOPED_TRACE(nth);
        FakeMachine machine;
        (void)run([&] { return plug_it(machine.path(), timeouts_for(Fault::none)); });
        machine.fault_at(nth, fault);
        const auto outcome = run_client(unplug_it, machine.path(), fault);
        expect_typed(outcome, fault);
        expect_truth(outcome, machine);
        failed += outcome.result.empty() ? 1 : 0;
        EXPECT_FALSE(!outcome.result.empty() && holds(machine));
        const bool over = !machine.struck() || fault == Fault::none;
        struck += over ? 0 : 1;
        machine.fault_at(0, Fault::none);
        expect_usable(machine);
        if (over)
            break;
        ASSERT_LT(nth, 30u);
    }
    if (fault != Fault::none) {
        EXPECT_GE(struck, 5u); // greeting, capabilities, query-status, device_del, qom-list
    }
    if (fake::ends_connection(fault)) {
        EXPECT_EQ(failed, 5u);
    }
    if (fake::is_harmless(fault)) {
        EXPECT_LE(failed, 1u);
    }
}
