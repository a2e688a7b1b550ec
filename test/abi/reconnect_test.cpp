// SPDX-License-Identifier: Apache-2.0
// The connection is lost while QEMU lives on: what the plugin finds out over the next one.
#include "test/abi/world.hpp"
#include "test/fixtures/fake_qmp/raw_client.hpp"

#include <gmock/gmock.h>

#include <fstream>

namespace kata_vfio::abi_test {
namespace {

using fake::Fault;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Reconnect : public World {
  protected:
    void start_with_attached() {
        start_with_sandbox();
        const auto attached = host->attach(sandbox, type8, uuid_a);
        ASSERT_TRUE(attached.ok()) << attached;
        id_ = plugged().at(0);
    }
    std::string id_;
};

TEST_F(Reconnect, BetweenTwoCallsNobodyNotices) {
    start_with_sandbox();
    const auto before = snapshot();
    machine->hang_up();
    const auto attached = host->attach(sandbox, type8, uuid_a);
    ASSERT_TRUE(attached.ok()) << attached;
    machine->hang_up();
    const auto detached = host->detach(sandbox, uuid_a);
    EXPECT_TRUE(detached.ok()) << detached;
    expect_untouched(before);
}

TEST_F(Reconnect, TheHostIsToldWhatHappened) {
    start_with_attached();
    machine->hang_up({id_}, "paused");
    EXPECT_EQ(host->wait_monitor("connected again"),
              "connected again to QEMU's monitor; the guest is paused; meanwhile: DEVICE_DELETED "
              "of " +
                  id_ + ", STOP");
    const auto lost = host->wait_monitor("; connecting again");
    EXPECT_THAT(lost, HasSubstr("QEMU closed the connection on " + machine->path()));
}

TEST_F(Reconnect, AnEndThatWasAnnouncedIsNoWarning) {
    start_with_sandbox();
    machine->emit("SHUTDOWN", {{"guest", true}, {"reason", "guest-shutdown"}});
    machine->kill();
    EXPECT_THAT(host->wait_qemu_gone(), HasSubstr("its last event was SHUTDOWN"));
    host->wait_log("QEMU is gone");
    EXPECT_THAT(host->warnings(), IsEmpty());
}

TEST_F(Reconnect, AnEndThatWasNotIsOne) {
    start_with_sandbox();
    machine->emit("SHUTDOWN", {{"guest", true}, {"reason", "guest-reset"}});
    machine->kill();
    host->wait_log("QEMU is gone");
    EXPECT_THAT(host->warnings(),
                ElementsAre(HasSubstr("; connecting again"), HasSubstr("QEMU is gone")));
}

TEST_F(Reconnect, AnAnnouncementIsOfTheConnectionsQemuAlone) {
    start_with_sandbox();
    machine->emit("SHUTDOWN", {{"guest", false}, {"reason", "host-qmp-quit"}});
    machine->hang_up();
    host->wait_monitor("connected again");
    EXPECT_THAT(host->warnings(), IsEmpty());
    machine->kill();
    host->wait_log("QEMU is gone");
    EXPECT_EQ(host->warnings().size(), 2u);
}

TEST_F(Reconnect, RemovedWhileAwayIsDetachedAllTheSame) {
    start_with_attached();
    machine->hang_up({id_});
    const auto detached = host->detach(sandbox, uuid_a);
    EXPECT_TRUE(detached.ok()) << detached;
    EXPECT_EQ(names("/sys/bus/mdev/devices"), "");
    EXPECT_EQ(names("/run/kata-vfio/claims"), "");
}

// QEMU has carried device_add out, its answer was lost.
TEST_F(Reconnect, AttachFindsTheDevicePresent) {
    start_with_sandbox();
    machine->fault_at(0, Fault::eof);
    const auto attached = host->attach(sandbox, type8, uuid_a);
    ASSERT_TRUE(attached.ok()) << attached;
    EXPECT_EQ(plugged().size(), 1u);
    EXPECT_EQ(machine->count("device_add"), 2u); // one before, in start_with_sandbox()
    const auto listed = host->list("sb1");
    ASSERT_EQ(listed.attachments.size(), 1u);
    EXPECT_EQ(listed.attachments[0].guest_address, "0000:00:05.0");
    const auto detached = host->detach(sandbox, uuid_a);
    EXPECT_TRUE(detached.ok()) << detached;
}

// QEMU has refused device_add, and that answer was lost.
TEST_F(Reconnect, AttachFindsTheDeviceGone) {
    start_with_sandbox();
    const auto before = snapshot();
    machine->block_on("device_add");
    const auto ticket = host->start_attach(sandbox, type8, uuid_a);
    machine->wait_blocked();
    machine->hang_up();
    machine->refuse_device_add("no");
    machine->unblock();
    const auto answer = host->wait(ticket);
    expect_refused(answer, KATA_VFIO_E_QEMU_GONE, before);
    EXPECT_THAT(answer.problem, HasSubstr("QEMU closed the connection on " + machine->path()));
    EXPECT_THAT(answer.problem, HasSubstr("connection lost, whether it was done is not known"));
    EXPECT_THAT(answer.remedy, HasSubstr("connected again: QEMU does not have it"));
    machine->refuse_device_add("");
    const auto next = host->attach(sandbox, type8, uuid_a);
    EXPECT_TRUE(next.ok()) << next;
}

TEST_F(Reconnect, DetachFindsTheDeviceGone) {
    start_with_attached();
    machine->fault_at(1, Fault::eof); // query-status, device_del: it goes at once
    const auto detached = host->detach(sandbox, uuid_a);
    EXPECT_TRUE(detached.ok()) << detached;
    EXPECT_THAT(host->steps(), ::testing::Contains(HasSubstr("QEMU does not have " + id_)));
    EXPECT_EQ(names("/sys/bus/mdev/devices"), "");
}

TEST_F(Reconnect, DetachFindsTheDevicePresentAndAsksAgain) {
    start_with_attached();
    machine->fault_at(0, Fault::eof); // query-status: QEMU has not even been asked
    const auto asked = machine->count("device_del");
    const auto detached = host->detach(sandbox, uuid_a);
    EXPECT_TRUE(detached.ok()) << detached;
    EXPECT_EQ(machine->count("device_del"), asked + 1);
    EXPECT_THAT(plugged(), IsEmpty());
    EXPECT_EQ(names("/sys/bus/mdev/devices"), "");
}

TEST_F(Reconnect, ABusyMonitorIsToldFromAQemuThatIsGone) {
    configure(configuration("", "greeting = 100\nreconnect = 100"));
    start_with_attached();
    fake::RawClient other(machine->path()); // waits in the backlog, and is served next
    machine->hang_up();
    EXPECT_THAT(host->wait_monitor("not connected again for now"),
                HasSubstr("another client holds the monitor"));
    const auto before = snapshot();
    const auto answer = host->detach(sandbox, uuid_a);
    expect_refused(answer, KATA_VFIO_E_MONITOR_BUSY, before);
    EXPECT_EQ(names("/sys/bus/mdev/devices"), uuid_a);
    other.shut_down_writing();
    const auto detached = host->detach(sandbox, uuid_a);
    EXPECT_TRUE(detached.ok()) << detached;
}

TEST_F(Reconnect, AnUnresponsiveQemuIsToldOnceAndItsReturnToo) {
    configure(configuration("", "unresponsive = 20"));
    start_with_attached();
    machine->block_on("query-status");
    const auto ticket = host->start_detach(sandbox, uuid_a);
    EXPECT_EQ(host->wait_monitor("has not answered"),
              "QEMU's monitor " + machine->path() +
                  " has not answered query-status for 20 ms: the process may be stopped, or its "
                  "host overloaded");
    machine->unblock();
    const auto detached = host->wait(ticket);
    EXPECT_TRUE(detached.ok()) << detached;
    EXPECT_EQ(host->wait_monitor("answers again"),
              "QEMU's monitor " + machine->path() + " answers again");
    EXPECT_EQ(host->monitor_events().size(), 2u);
}

TEST_F(Reconnect, ClientsOfTheProxyStayAndHearWhatWasMissed) {
    configure(configuration("qmp_proxy = \"read-only\""));
    start_with_attached();
    fake::RawClient client(root.at("/run/kata-vfio/sandboxes/sb1/qmp.sock").string());
    client.negotiate();
    machine->block_on("query-pci");
    client.send("{\"execute\":\"query-pci\",\"id\":1}");
    machine->wait_blocked();
    machine->hang_up({id_});
    machine->unblock();
    const auto lost = client.line();
    EXPECT_THAT(lost, HasSubstr("{\"id\": 1, \"error\": {\"class\": \"GenericError\""));
    EXPECT_THAT(lost, HasSubstr("connection lost, whether it was done is not known"));
    const auto event = client.line();
    EXPECT_THAT(event, HasSubstr("\"event\": \"DEVICE_DELETED\", \"data\": {\"device\": \"" + id_ +
                                 "\", \"path\": \"/machine/peripheral/" + id_ +
                                 "\"}, \"synthesised\": true}"));
    EXPECT_THAT(client.ask("{\"execute\":\"query-status\",\"id\":2}"), HasSubstr("\"return\""));
    machine->kill();
    EXPECT_EQ(client.until_eof(), "");
}

TEST_F(Reconnect, WhatWasMissedIsInTheWireLog) {
    configure(configuration("qmp_log = true\nqmp_log_redact = [\"path\"]"));
    start_with_attached();
    machine->hang_up({id_});
    EXPECT_THAT(host->wait_monitor("connected again"), HasSubstr("DEVICE_DELETED of " + id_));
    host.reset(); // the log is written to its end
    std::ifstream log(root.at("/run/kata-vfio/sandboxes/sb1/wire.log"));
    std::vector<std::string> synthesised;
    for (std::string line; std::getline(log, line);)
        if (line.find("\"kind\":\"synthesised\"") != line.npos)
            synthesised.push_back(line);
    ASSERT_EQ(synthesised.size(), 1u);
    EXPECT_THAT(synthesised[0], HasSubstr("\"conn\":2,"));
    EXPECT_THAT(synthesised[0],
                HasSubstr("\"event\":\"DEVICE_DELETED\",\"data\":{\"device\":\"" + id_ +
                          "\",\"path\":\"[redacted]\"},"
                          "\"synthesised\":true}}"));
}

} // namespace
} // namespace kata_vfio::abi_test
