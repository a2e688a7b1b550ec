// SPDX-License-Identifier: Apache-2.0
#include "qemu/device_life.hpp"

#include <gtest/gtest.h>

#include <set>
#include <sstream>

using namespace kata_vfio;
using namespace kata_vfio::qemu;
using S = LifeState;
using E = LifeEvent;
using D = LifeStep;

namespace {

template <class T>
std::vector<T> all(std::size_t count) {
    std::vector<T> out;
    for (std::size_t i = 0; i < count; ++i)
        out.push_back(static_cast<T>(i));
    return out;
}
const auto states = all<S>(life_states);
const auto events = all<E>(life_events);

/// The table once more, as rules: what must hold of each combination.
LifeCell by_rule(S state, E event) {
    const bool wanted_out = state == S::unplug_pending || state == S::removing || state == S::lost;
    if (event == E::child_deleted)
        return {state, D::none};
    if (event == E::found_absent)
        return {S::absent, state == S::absent ? D::none : wanted_out ? D::done : D::tell};
    if (state == S::absent) {
        if (event == E::plug_begun)
            return {S::plugging, D::send_add};
        if (event == E::unplug_begun)
            return {S::absent, D::done};
        return event == E::found_present ? LifeCell{S::present, D::tell}
                                         : LifeCell{S::absent, D::none};
    }
    if (event == E::silent)
        return {S::lost, D::unanswered};
    if (event == E::disconnected || event == E::crashed) {
        const auto step = event == E::crashed ? D::crash : D::gone;
        return {S::lost, state == S::lost ? D::none : step};
    }
    if (event == E::deleted)
        return {S::removing, D::verify};
    if (event == E::plug_begun)
        return {state, state == S::lost ? D::verify : D::refuse};
    switch (state) {
    case S::removing: // no error and no event weighs against it
        return event == E::found_present ? LifeCell{S::present, D::contradiction}
                                         : LifeCell{S::removing, D::verify};
    case S::plugging:
        switch (event) {
        case E::unplug_begun:
            return {S::unplug_pending, D::ask_status};
        case E::reply_ok:
        case E::found_present:
            return {S::present, D::done};
        case E::reply_no_room:
            return {S::absent, D::choose_slot};
        case E::reply_not_found:
        case E::reply_pending:
        case E::reply_busy:
        case E::reply_refused:
            return {S::absent, D::refuse};
        case E::unanswered:
        case E::deadline:
            return {S::plugging, D::take_back};
        default:
            return {S::plugging, D::none};
        }
    case S::present:
        if (event == E::unplug_begun)
            return {S::unplug_pending, D::ask_status};
        return event == E::reply_not_found ? LifeCell{S::removing, D::verify}
                                           : LifeCell{S::present, D::none};
    case S::unplug_pending:
        switch (event) {
        case E::unplug_begun:
            return {S::unplug_pending, D::ask_status};
        case E::reply_not_found:
            return {S::removing, D::verify};
        case E::reply_no_room:
        case E::reply_refused:
            return {S::present, D::refuse};
        case E::guest_refused:
            return {S::present, D::guest_refused};
        case E::prelaunch:
            return {S::present, D::refuse_early};
        case E::resend_due:
        case E::found_present:
            return {S::unplug_pending, D::send_del};
        case E::deadline:
            return {S::unplug_pending, D::verify};
        default:
            return {S::unplug_pending, D::wait};
        }
    case S::lost:
        switch (event) {
        case E::found_present:
            return {S::present, D::done};
        case E::unplug_begun:
        case E::unanswered:
        case E::reply_not_found:
        case E::resend_due:
            return {S::lost, D::verify};
        case E::deadline:
            return {S::lost, D::unanswered};
        default:
            return {S::lost, D::none};
        }
    case S::absent:
        break;
    }
    ADD_FAILURE() << "no rule for " << state << " with " << event;
    return {};
}

DeviceLife after(S state, std::initializer_list<E> what) {
    DeviceLife life(state);
    for (const auto event : what)
        life.on(event);
    return life;
}

Event emitted(const std::string& name, boost::json::object data = {}) {
    Event out;
    out.name = name;
    out.data = std::move(data);
    return out;
}

E reply(const std::string& desc, const std::string& cls = "GenericError") {
    return life_event(QmpFailure("device_del", cls, desc));
}

} // namespace

namespace kata_vfio::qemu {
void PrintTo(const LifeCell& cell, std::ostream* out) {
    *out << cell.next << ' ' << cell.step;
}
} // namespace kata_vfio::qemu

TEST(DeviceLife, EveryStateWithEveryEventGoesByTheRules) {
    std::size_t combinations = 0;
    for (const auto state : states)
        for (const auto event : events) {
            EXPECT_EQ(life_cell(state, event), by_rule(state, event)) << state << " " << event;
            ++combinations;
        }
    EXPECT_EQ(combinations, 138u);
}

TEST(DeviceLife, EveryStateIsReachedAndEveryStepTaken) {
    std::set<S> reached{S::absent};
    std::set<D> taken;
    for (std::size_t before = 0; before != reached.size();) {
        before = reached.size();
        for (const auto state : std::set<S>(reached))
            for (const auto event : events)
                reached.insert(life_cell(state, event).next);
    }
    for (const auto state : states)
        for (const auto event : events)
            taken.insert(life_cell(state, event).step);
    EXPECT_EQ(reached.size(), life_states);
    EXPECT_EQ(taken.size(), life_steps);
}

TEST(DeviceLife, OnlyQemusBookOrItsRefusalOfThePlugMakeADeviceAbsent) {
    for (const auto state : states)
        for (const auto event : events) {
            if (state == S::absent || life_cell(state, event).next != S::absent)
                continue;
            const bool refused =
                state == S::plugging && text(event).starts_with("reply_") && event != E::reply_ok;
            EXPECT_TRUE(event == E::found_absent || refused) << state << " " << event;
        }
}

TEST(DeviceLife, AskingAgainDecidesFromEverywhere) {
    for (const auto state : states) {
        EXPECT_EQ(life_cell(state, E::found_absent).next, S::absent) << state;
        EXPECT_NE(life_cell(state, E::found_present).next, S::absent) << state;
        EXPECT_NE(life_cell(state, E::found_present).next, S::lost) << state;
    }
}

TEST(DeviceLife, TheOnlyCommandsAreTheseNeverAReset) {
    std::set<std::string> commands;
    for (const auto step : all<D>(life_steps))
        if (const auto command = command_of(step, "gpu0"))
            commands.insert(serialise(*command, 1));
    EXPECT_EQ(commands,
              (std::set<std::string>{
                  R"({"execute":"query-status","id":1})"
                  "\n",
                  R"({"execute":"device_del","arguments":{"id":"gpu0"},"id":1})"
                  "\n",
                  R"({"execute":"qom-list","arguments":{"path":"/machine/peripheral"},"id":1})"
                  "\n"}));
}

TEST(DeviceLife, PlugAndUnplug) {
    DeviceLife life(S::absent);
    EXPECT_EQ(life.on(E::plug_begun), D::send_add);
    EXPECT_EQ(life.on(E::reply_ok), D::done);
    EXPECT_EQ(life.state(), S::present);
    EXPECT_EQ(life.on(E::unplug_begun), D::ask_status);
    EXPECT_EQ(life.on(E::guest_running), D::wait);
    EXPECT_EQ(life.on(E::reply_ok), D::wait);
    EXPECT_EQ(life.on(E::child_deleted), D::none);
    EXPECT_EQ(life.on(E::deleted), D::verify);
    EXPECT_EQ(life.on(E::found_absent), D::done);
    EXPECT_EQ(life.state(), S::absent);
}

TEST(DeviceLife, EventBeforeTheReplyAndAnErrorAfterTheEvent) {
    for (const auto late :
         {E::reply_ok, E::reply_refused, E::reply_pending, E::reply_not_found, E::unanswered}) {
        auto life = after(S::present, {E::unplug_begun, E::guest_running, E::deleted});
        EXPECT_EQ(life.on(late), D::verify) << late;
        EXPECT_EQ(life.on(E::found_absent), D::done) << late;
    }
}

TEST(DeviceLife, NotFoundIsDoneOnceTheBookSaysSo) {
    auto life = after(S::present, {E::unplug_begun, E::guest_running});
    EXPECT_EQ(life.on(reply("Device 'gpu0' not found", "DeviceNotFound")), D::verify);
    EXPECT_EQ(life.on(E::found_absent), D::done);
}

TEST(DeviceLife, AlreadyInTheProcessIsPending) {
    auto life = after(S::present, {E::unplug_begun, E::guest_running});
    EXPECT_EQ(life.on(reply("Device gpu0 is already in the process of unplug")), D::wait);
    EXPECT_EQ(life.on(reply("Hot-unplug failed: guest is busy (power indicator blinking)")),
              D::wait);
    EXPECT_EQ(life.state(), S::unplug_pending);
    EXPECT_EQ(life.on(reply("device_del not allowed while migrating")), D::refuse);
    EXPECT_EQ(life.state(), S::present);
}

TEST(DeviceLife, LostInEarlyBootIsSentAgain) {
    auto life = after(S::present, {E::unplug_begun, E::guest_running, E::reply_ok});
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(life.on(E::resend_due), D::send_del);
        EXPECT_EQ(life.on(E::reply_ok), D::wait);
    }
}

TEST(DeviceLife, PrelaunchIsRefusedUnsent) {
    EXPECT_EQ(life_event(RunState{"prelaunch", false}), E::prelaunch);
    EXPECT_EQ(life_event(RunState{"inmigrate", false}), E::prelaunch);
    auto life = after(S::present, {E::unplug_begun});
    EXPECT_EQ(life.on(E::prelaunch), D::refuse_early);
    EXPECT_EQ(life.state(), S::present);
}

TEST(DeviceLife, StoppedGuestIsWaitedFor) {
    EXPECT_EQ(life_event(RunState{"paused", false}), E::guest_stopped);
    EXPECT_EQ(life_event(RunState{"brand-new", true}), E::guest_running);
    auto life = after(S::present, {E::unplug_begun});
    EXPECT_EQ(life.on(E::guest_stopped), D::wait);
    EXPECT_EQ(life.on(E::reply_ok), D::wait);
    EXPECT_EQ(life.on(E::guest_running), D::wait);
    EXPECT_EQ(life.on(E::deleted), D::verify);
}

TEST(DeviceLife, UnsolicitedRemovalIsProvenAndTold) {
    auto life = after(S::present, {E::deleted});
    EXPECT_EQ(life.state(), S::removing);
    EXPECT_EQ(life.on(E::found_absent), D::done);
    EXPECT_EQ(DeviceLife(S::present).on(E::found_absent), D::tell); // its event was missed
    EXPECT_EQ(DeviceLife(S::absent).on(E::found_present), D::tell);
}

TEST(DeviceLife, EndRightAfterAResetIsACrash) {
    auto life = after(S::present, {E::unplug_begun, E::guest_running, E::reply_ok, E::reset});
    EXPECT_EQ(life.on(E::disconnected), D::crash);
    EXPECT_EQ(life.state(), S::lost);
    // A command's answer is no event: RESET is still QEMU's last.
    life = after(S::present, {E::unplug_begun, E::guest_running, E::reset, E::reply_ok});
    EXPECT_EQ(life.on(E::disconnected), D::crash);
    life = after(S::present, {E::unplug_begun, E::reset, E::guest_stopped});
    EXPECT_EQ(life.on(E::disconnected), D::gone);
    EXPECT_EQ(life.on(E::found_present), D::done);
    EXPECT_EQ(life.state(), S::present);
}

TEST(DeviceLife, PlugThatNobodyAnsweredIsTakenBack) {
    auto life = after(S::absent, {E::plug_begun});
    EXPECT_EQ(life.on(E::unanswered), D::take_back);
    EXPECT_EQ(life.on(E::unplug_begun), D::ask_status);
    EXPECT_EQ(life.on(E::guest_running), D::wait);
    EXPECT_EQ(life.on(E::reply_not_found), D::verify);
    EXPECT_EQ(life.on(E::found_absent), D::done);
}

TEST(DeviceLife, EventsOfTheDeviceItsChildrenAndOthers) {
    const auto of = [](const std::string& name, boost::json::object data) {
        return life_event(emitted(name, std::move(data)), "gpu0");
    };
    const std::string book = "/machine/peripheral/";
    EXPECT_EQ(of("DEVICE_DELETED", {{"device", "gpu0"}, {"path", book + "gpu0"}}), E::deleted);
    EXPECT_EQ(of("DEVICE_DELETED", {{"device", "gpu0"}}), E::deleted);
    EXPECT_EQ(of("DEVICE_DELETED", {{"path", book + "gpu0"}}), E::deleted);
    EXPECT_EQ(of("DEVICE_DELETED", {{"path", book + "gpu0/virtio-backend"}}), E::child_deleted);
    for (boost::json::object data : {boost::json::object{},
                                     {{"device", "gpu1"}},
                                     {{"device", "gpu1"}, {"path", book + "gpu0"}},
                                     {{"path", book + "gpu00"}},
                                     {{"path", book + "gpu"}},
                                     {{"path", "/machine/gpu0"}},
                                     {{"path", book + "gpu00/virtio-backend"}},
                                     {{"device", 5}, {"path", book + "gpu0"}}})
        EXPECT_EQ(of("DEVICE_DELETED", data), std::nullopt) << boost::json::value(data);
    EXPECT_EQ(of("DEVICE_UNPLUG_GUEST_ERROR", {{"device", "gpu0"}}), E::guest_refused);
    EXPECT_EQ(of("MEM_UNPLUG_ERROR", {{"device", "gpu0"}, {"msg", "busy"}}), E::guest_refused);
    EXPECT_EQ(of("DEVICE_UNPLUG_GUEST_ERROR", {{"path", book + "gpu0"}}), std::nullopt);
    EXPECT_EQ(of("RESET", {}), E::reset);
    EXPECT_EQ(of("STOP", {}), E::guest_stopped);
    EXPECT_EQ(of("RESUME", {}), E::guest_running);
    EXPECT_EQ(of("RTC_CHANGE", {{"device", "gpu0"}}), std::nullopt);
}

TEST(DeviceLife, RepliesByClassAndText) {
    EXPECT_EQ(reply("PCI: slot 5 function 0 not available for X, in use by Y,id=s1"),
              E::reply_no_room);
    EXPECT_EQ(reply("PCI: no slot/function available for X, all in use or reserved"),
              E::reply_no_room);
    EXPECT_EQ(reply("Duplicate device ID 'gpu0'"), E::reply_refused);
    EXPECT_EQ(reply("vfio 0000:00:02.0: group 4 is not viable"), E::reply_refused);
    EXPECT_EQ(reply("whatever", "BrandNewClass"), E::reply_refused);
}

TEST(DeviceLife, Prints) {
    std::ostringstream out;
    out << S::lost << ' ' << E::prelaunch << ' ' << D::tell;
    EXPECT_EQ(out.str(), "lost prelaunch tell");
}
