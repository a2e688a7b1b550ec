// SPDX-License-Identifier: Apache-2.0
// A QMP socket that is not what it should be, and a QEMU that dies.
#include "test/abi/world.hpp"
#include "test/fixtures/fake_qmp/fake_qmp.hpp"

#include <gmock/gmock.h>

namespace kata_vfio::abi_test {
namespace {

using ::testing::HasSubstr;

class Monitor : public World {
  protected:
    Answer refused(const std::string& socket, kata_vfio_status_t status) {
        if (!host)
            start();
        const auto before = snapshot();
        const auto answer = host->open("sb1", socket);
        expect_refused(answer, status, before);
        EXPECT_THAT(answer.message, HasSubstr(socket));
        return answer;
    }
};

TEST_F(Monitor, Missing) {
    refused(machine->path() + ".not", KATA_VFIO_E_MONITOR_MISSING);
}

TEST_F(Monitor, NobodyListens) {
    fake::PeerSocket dead;
    dead.close_listener();
    refused(dead.path(), KATA_VFIO_E_MONITOR_REFUSED);
}

TEST_F(Monitor, APlainFile) {
    const auto answer = refused(config.string(), KATA_VFIO_E_NOT_QMP);
    EXPECT_EQ(answer.problem, config.string() + " is a regular file, not a QMP socket");
}

TEST_F(Monitor, NotAbsolute) {
    refused("qmp.sock", KATA_VFIO_E_INVALID_ARGUMENT);
}

TEST_F(Monitor, TooLongForASocket) {
    const auto answer = refused("/" + std::string(200, 'x'), KATA_VFIO_E_INVALID_ARGUMENT);
    EXPECT_THAT(answer.remedy, ::testing::HasSubstr("a shorter -qmp unix:PATH"));
}

TEST_F(Monitor, SpeaksHttp) {
    fake::FakeQmp peer;
    peer.raw("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    peer.start();
    refused(peer.path(), KATA_VFIO_E_NOT_QMP);
}

TEST_F(Monitor, SpeaksAnotherJsonProtocol) {
    fake::FakeQmp peer;
    peer.raw("{\"jsonrpc\": \"2.0\", \"method\": \"hello\"}\r\n");
    peer.start();
    refused(peer.path(), KATA_VFIO_E_NOT_QMP);
}

TEST_F(Monitor, BusyWithAnotherClient) {
    configure(configuration("", "greeting = 100"));
    start_with_sandbox();
    PluginHost other(config, root.path());
    const auto before = snapshot();
    const auto answer = other.open("sb2", machine->path());
    expect_refused(answer, KATA_VFIO_E_MONITOR_BUSY, before);
}

TEST_F(Monitor, ASecondSandboxOnTheSameQemuIsRefused) {
    start_with_sandbox();
    ASSERT_TRUE(host->attach(sandbox, type8, uuid_a).ok());
    host->close(sandbox); // QEMU's monitor is free
    std::filesystem::create_symlink(machine->path(), root.at("/run/other.sock"));
    const auto before = snapshot();
    for (const auto& path : {machine->path(), root.at("/run/other.sock").string()}) {
        const auto answer = host->open("sb2", path);
        expect_refused(answer, KATA_VFIO_E_INVALID_ARGUMENT, before);
        EXPECT_EQ(answer.problem, "the QEMU at " + path + " is sandbox sb1's already");
        EXPECT_EQ(answer.blocker,
                  "sandbox sb1, with 1 attachment and the monitor " + machine->path());
        EXPECT_THAT(answer.remedy, ::testing::HasSubstr("kata-vfio sandbox release sb1"));
    }
    ASSERT_TRUE(host->release("sb1").ok());
    EXPECT_TRUE(host->open("sb2", machine->path()).ok());
}

TEST_F(Monitor, OpenTwiceInOneInstance) {
    start_with_sandbox();
    const auto before = snapshot();
    const auto answer = host->open("sb1", machine->path());
    expect_refused(answer, KATA_VFIO_E_SANDBOX_BUSY, before);
    EXPECT_EQ(answer.problem, "sandbox sb1 is open already");
}

TEST_F(Monitor, AnotherSocketForASandboxWithAttachments) {
    start_with_sandbox();
    ASSERT_TRUE(host->attach(sandbox, type8, uuid_a).ok());
    host->close(sandbox);
    fake::FakeMachine second;
    const auto before = snapshot();
    const auto answer = host->open("sb1", second.path());
    expect_refused(answer, KATA_VFIO_E_INVALID_ARGUMENT, before);
    EXPECT_EQ(answer.blocker, "1 attachments in the QEMU at " + machine->path());
}

TEST_F(Monitor, UnknownSandboxWithoutASocket) {
    start();
    const auto before = snapshot();
    const auto answer = host->open("sb1", "");
    expect_refused(answer, KATA_VFIO_E_SANDBOX_NOT_FOUND, before);
}

TEST_F(Monitor, AnIdThatCannotBeADirectory) {
    start();
    const auto before = snapshot();
    for (const char* id : {"", "..", "../x", "a/b", ".hidden", "-x", "a b"}) {
        const auto answer = host->open(id, machine->path());
        expect_refused(answer, KATA_VFIO_E_MALFORMED_SANDBOX_ID, before);
        const auto released = host->release(id);
        expect_refused(released, KATA_VFIO_E_MALFORMED_SANDBOX_ID, before);
    }
}

// QEMU dies of the device_add. What was prepared for it is undone all the same.
TEST_F(Monitor, QemuDiesOfAVgpu) {
    start_with_sandbox();
    const auto before = snapshot();
    machine->die_during_device_add();
    const auto answer = host->attach(sandbox, type8, uuid_a);
    expect_refused(answer, KATA_VFIO_E_QEMU_GONE, before);
    EXPECT_EQ(names("/sys/bus/mdev/devices"), "");
}

TEST_F(Monitor, QemuDiesOfAFunction) {
    start_with_sandbox();
    const auto before = snapshot();
    machine->die_during_device_add();
    const auto answer = host->attach(sandbox, gpu);
    expect_refused(answer, KATA_VFIO_E_QEMU_GONE, before);
    EXPECT_EQ(driver_of(gpu), "i915");
}

TEST_F(Monitor, QemuDiesDuringADetach) {
    start_with_sandbox();
    const auto before = snapshot();
    ASSERT_TRUE(host->attach(sandbox, type8, uuid_a).ok());
    machine->block_on("device_del");
    const auto ticket = host->start_detach(sandbox, uuid_a);
    machine->wait_blocked();
    machine->kill();
    const auto answer = host->wait(ticket); // its devices went with it: that is a detach too
    EXPECT_TRUE(answer.ok()) << answer;
    expect_untouched(before);
}

// The guest, or the host's vfio, threw it out while nobody was connected.
TEST_F(Monitor, WhatQemuHasNoMoreIsToldWhenItsBusIsAskedForAgain) {
    start_with_sandbox();
    const auto attached = host->attach(sandbox, gpu);
    ASSERT_TRUE(attached.ok()) << attached;
    host.reset();
    machine->eject(attached.attachments.at(0).id);
    restart(configuration());
    const auto again = host->attach(sandbox, gpu);
    EXPECT_EQ(again.status, KATA_VFIO_E_ALREADY_ATTACHED) << again;
    EXPECT_THAT(host->log(), ::testing::Contains(
                                 HasSubstr("sandbox sb1: QEMU has vfio-0000.00.02.0 no more, and "
                                           "nobody here has detached it: detach it")));
    const auto detached = host->detach(sandbox, gpu);
    EXPECT_TRUE(detached.ok()) << detached;
}

} // namespace
} // namespace kata_vfio::abi_test
