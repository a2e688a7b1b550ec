// SPDX-License-Identifier: Apache-2.0
#include "qemu/last_known.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <gtest/gtest.h>

using namespace kata_vfio;
using namespace kata_vfio::qemu;
namespace json = boost::json;

namespace {

LastKnown machine(const std::string& status, std::set<std::string> devices = {}) {
    LastKnown inventory;
    inventory.state = {status, status == "running"};
    inventory.devices = std::move(devices);
    return inventory;
}

Event make_event(const std::string& name, json::object data = {}) {
    Event made;
    made.name = name;
    made.data = std::move(data);
    return made;
}

/// "NAME DATA; NAME DATA"
std::string missed(const LastKnown& before, const LastKnown& after) {
    std::string text;
    for (const auto& found : missed_events(before, after)) {
        EXPECT_TRUE(found.synthesised);
        text += (text.empty() ? "" : "; ") + found.name;
        if (!found.data.empty())
            text += " " + json::serialize(found.data);
    }
    return text;
}

} // namespace

TEST(LastKnown, NothingChangedNothingMissed) {
    EXPECT_EQ(missed(machine("running", {"a"}), machine("running", {"a"})), "");
    EXPECT_EQ(missed(machine("running"), machine("running", {"new"})), "");
}

TEST(LastKnown, DevicesGoneAreDeleted) {
    EXPECT_EQ(missed(machine("running", {"b", "a", "c"}), machine("running", {"b"})),
              R"(DEVICE_DELETED {"device":"a","path":"/machine/peripheral/a"}; )"
              R"(DEVICE_DELETED {"device":"c","path":"/machine/peripheral/c"})");
}

TEST(LastKnown, RunStates) {
    EXPECT_EQ(missed(machine("running"), machine("paused")), "STOP");
    EXPECT_EQ(missed(machine("paused"), machine("running")), "RESUME");
    EXPECT_EQ(missed(machine("prelaunch"), machine("running")), "RESUME");
    EXPECT_EQ(missed(machine("paused"), machine("io-error")), "");
    EXPECT_EQ(missed(machine("running"), machine("a-state-of-tomorrow")), "STOP");
    EXPECT_EQ(missed(machine("running"), machine("shutdown")),
              R"(SHUTDOWN {"guest":false,"reason":"none"}; STOP)");
    EXPECT_EQ(missed(machine("paused"), machine("shutdown")),
              R"(SHUTDOWN {"guest":false,"reason":"none"})");
    EXPECT_EQ(missed(machine("running"), machine("guest-panicked")),
              R"(GUEST_PANICKED {"action":"pause"}; STOP)");
    EXPECT_EQ(missed(machine("running"), machine("suspended")), "SUSPEND");
    EXPECT_EQ(missed(machine("suspended"), machine("running")), "WAKEUP");
}

TEST(LastKnown, DevicesGoBeforeTheStateChanges) {
    EXPECT_EQ(missed(machine("running", {"a"}), machine("paused")),
              R"(DEVICE_DELETED {"device":"a","path":"/machine/peripheral/a"}; STOP)");
}

// Each event that a change is told by leaves nothing to be told a second time.
TEST(LastKnown, WhatWasToldIsKnown) {
    for (const char* from : {"running", "paused", "suspended", "prelaunch"})
        for (const char* to : {"running", "paused", "shutdown", "guest-panicked", "suspended"}) {
            auto known = machine(from, {"a", "b"});
            const auto now = machine(to, {"b"});
            for (const auto& told : missed_events(known, now))
                known.apply(told);
            if (std::string(from) != "running" && std::string(to) == "paused")
                continue; // both don't run, and no event tells them apart
            EXPECT_EQ(missed(known, now), "") << from << " to " << to;
        }
}

TEST(LastKnown, EventsOfChildrenAndStrangersChangeNothing) {
    auto known = machine("running", {"a"});
    known.apply(make_event("DEVICE_DELETED", {{"path", "/machine/peripheral/a/child"}}));
    known.apply(make_event("RTC_CHANGE", {{"offset", 3}}));
    EXPECT_EQ(missed(known, machine("running")),
              R"(DEVICE_DELETED {"device":"a","path":"/machine/peripheral/a"})");
    known.apply(make_event("DEVICE_DELETED", {{"device", "a"}}));
    EXPECT_EQ(missed(known, machine("running")), "");
}
