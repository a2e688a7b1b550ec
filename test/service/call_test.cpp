// SPDX-License-Identifier: Apache-2.0
// Calls that are given up, repeated, or cut off.
#include "test/service/service_world.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <future>

namespace kata_vfio::service_test {
namespace {

using namespace std::chrono_literals;
using Call = Service;

/// A call under way.
struct Attaching {
    grpc::ClientContext context;
    v1::AttachResponse response;
    std::future<grpc::Status> status;

    Attaching(Client& client, const v1::AttachRequest& request) {
        status = std::async(std::launch::async, [&client, request, this] {
            return client.devices->Attach(&context, request, &response);
        });
    }
};

/// Waits, by Watch, until an event of this kind has come.
v1::Event wait_event(Client& client, v1::Event::Kind kind) {
    v1::WatchRequest request;
    request.set_after_revision(0);
    request.set_steps(true);
    grpc::ClientContext context;
    const auto stream = client.sandboxes->Watch(&context, request);
    v1::WatchResponse response;
    v1::Event found;
    while (stream->Read(&response))
        if (response.event().kind() == kind) {
            found = response.event();
            context.TryCancel();
        }
    (void)stream->Finish();
    return found;
}

TEST_F(Call, CancelledInTheMiddleItIsUndone) {
    start_with_sandbox();
    const auto before = snapshot();
    machine->block_on("device_add");
    Attaching attaching(*client, attach_request(type8, uuid_a));
    machine->wait_blocked();
    EXPECT_NE(difference(before, snapshot()), "");
    attaching.context.TryCancel();
    EXPECT_EQ(attaching.status.get().error_code(), grpc::CANCELLED);
    daemon->wait_log("is given up");
    machine->unblock();
    const auto failed = wait_event(*client, v1::Event::KIND_CALL_FAILED);
    EXPECT_EQ(failed.error().name(), "cancelled") << failed.ShortDebugString();
    EXPECT_EQ(failed.subject(), type8);
    expect_untouched(before);
    EXPECT_TRUE(attach(type8, uuid_a).ok());
}

TEST_F(Call, CancelledByItsIdItsCallerWaitsForTheUndoing) {
    start_with_sandbox();
    const auto before = snapshot();
    machine->block_on("device_add");
    Attaching attaching(*client, attach_request(type8, uuid_a, "r1"));
    machine->wait_blocked();
    v1::CancelRequest request;
    request.set_request_id("r1");
    v1::CancelResponse cancelled;
    {
        grpc::ClientContext context;
        ASSERT_TRUE(client->operations->Cancel(&context, request, &cancelled).ok());
        EXPECT_TRUE(cancelled.running());
    }
    machine->unblock();
    const auto status = attaching.status.get();
    EXPECT_EQ(reason(status), "cancelled") << text(status);
    expect_untouched(before); // at once: it was waited for
    {
        grpc::ClientContext context;
        ASSERT_TRUE(client->operations->Cancel(&context, request, &cancelled).ok());
        EXPECT_FALSE(cancelled.running());
    }
}

TEST_F(Call, ADeadlineThatPassesIsACancellation) {
    start_with_sandbox();
    const auto before = snapshot();
    machine->block_on("device_add");
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + 300ms);
    v1::AttachResponse response;
    const auto status = client->devices->Attach(&context, attach_request(type8, uuid_a), &response);
    EXPECT_EQ(status.error_code(), grpc::DEADLINE_EXCEEDED);
    daemon->wait_log("is given up");
    machine->unblock();
    EXPECT_EQ(wait_event(*client, v1::Event::KIND_CALL_FAILED).error().name(), "cancelled");
    expect_untouched(before);
}

TEST_F(Call, AClientThatVanishesHasGivenUp) {
    start_with_sandbox();
    const auto before = snapshot();
    machine->block_on("device_add");
    // Before the fork: the child of a process with threads may only make system calls.
    const std::string python = "import grpc,sys\n"
                               "c=grpc.insecure_channel(sys.argv[1])\n"
                               "m=c.unary_unary('/kata_vfio.v1.Devices/Attach')\n"
                               "m(bytes.fromhex(sys.argv[2]))\n";
    const auto to = address();
    std::string hex;
    for (const unsigned char byte : attach_request(type8, uuid_a).SerializeAsString()) {
        constexpr std::string_view digits = "0123456789abcdef";
        hex += digits[byte >> 4];
        hex += digits[byte & 15];
    }
    const pid_t child = ::fork();
    if (child == 0) {
        ::execl("/usr/bin/python3", "python3", "-c", python.c_str(), to.c_str(), hex.c_str(),
                nullptr);
        ::_exit(127);
    }
    machine->wait_blocked();
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));
    // The cancellation reaches QEMU's command only when it is answered; the daemon has to have
    // seen the client's end by then.
    daemon->wait_log("is given up");
    machine->unblock();
    const auto ended = wait_event(*client, v1::Event::KIND_CALL_FAILED);
    EXPECT_EQ(ended.error().name(), "cancelled");
    expect_untouched(before);
}

TEST_F(Call, ARequestIdsRepeatGetsTheSameAnswer) {
    start_with_sandbox();
    const auto request = attach_request(type8, uuid_a, "r1");
    v1::AttachResponse first, second;
    {
        grpc::ClientContext context;
        ASSERT_TRUE(client->devices->Attach(&context, request, &first).ok());
    }
    const auto adds = machine->count("device_add");
    {
        grpc::ClientContext context;
        const auto status = client->devices->Attach(&context, request, &second);
        ASSERT_TRUE(status.ok()) << text(status);
    }
    EXPECT_EQ(first.SerializeAsString(), second.SerializeAsString());
    EXPECT_EQ(machine->count("device_add"), adds);
    {
        grpc::ClientContext context;
        const auto status =
            client->devices->Attach(&context, attach_request(type8, uuid_b, "r1"), &second);
        EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT);
        EXPECT_EQ(reason(status), "request_id_reused") << text(status);
    }
    {
        // A failure is an answer, too.
        const auto failing = attach_request("i915-GVTg_V9_9", {}, "r2");
        for (int i = 0; i < 2; ++i) {
            grpc::ClientContext context;
            EXPECT_EQ(reason(client->devices->Attach(&context, failing, &second)),
                      "type_not_found");
        }
    }
    EXPECT_EQ(machine->count("device_add"), adds);
}

TEST_F(Call, TwoThatWaitForOneAndOneOfThemGoes) {
    start_with_sandbox();
    machine->block_on("device_add");
    const auto request = attach_request(type8, uuid_a, "r1");
    Attaching first(*client, request), second(*client, request);
    machine->wait_blocked();
    // Both are in when a third call, behind them on the same connection, is answered.
    v1::ListResponse all;
    grpc::ClientContext context;
    ASSERT_TRUE(client->sandboxes->List(&context, {}, &all).ok());
    first.context.TryCancel();
    EXPECT_EQ(first.status.get().error_code(), grpc::CANCELLED);
    machine->unblock();
    const auto status = second.status.get();
    EXPECT_TRUE(status.ok()) << text(status);
    EXPECT_EQ(second.response.attachments(0).uuid(), uuid_a);
}

TEST_F(Call, TermLetsWhatIsUnderWayFinish) {
    start_with_sandbox();
    machine->block_on("device_add");
    Attaching attaching(*client, attach_request(type8, uuid_a));
    machine->wait_blocked();
    grpc::ClientContext watching;
    const auto stream = client->sandboxes->Watch(&watching, {});
    v1::WatchResponse response;
    ASSERT_TRUE(stream->Read(&response)); // the snapshot
    daemon->signal(SIGTERM);
    daemon->wait_notified("STOPPING=1");
    const auto refused = attach(type8, uuid_b);
    EXPECT_EQ(reason(refused), "draining") << text(refused);
    machine->unblock();
    const auto status = attaching.status.get();
    EXPECT_TRUE(status.ok()) << text(status);
    bool draining = false, attached = false;
    while (stream->Read(&response)) {
        draining |= response.event().kind() == v1::Event::KIND_DAEMON_DRAINING;
        attached |= response.event().kind() == v1::Event::KIND_DEVICE_ATTACHED;
    }
    EXPECT_TRUE(draining);
    EXPECT_TRUE(attached);
    EXPECT_EQ(reason(stream->Finish()), "draining");
    EXPECT_EQ(daemon->wait(), 0) << daemon->log();
    EXPECT_EQ(machine->devices().size(), 4u); // it stays
    // The next daemon has it.
    start_daemon();
    EXPECT_TRUE(detach(uuid_a).ok());
}

TEST_F(Call, TermUndoesWhatDoesNotFinishInTime) {
    configure("drain = 100");
    start_with_sandbox();
    const auto before = snapshot();
    machine->block_on("device_add");
    Attaching attaching(*client, attach_request(type8, uuid_a));
    machine->wait_blocked();
    daemon->signal(SIGTERM);
    daemon->wait_notified("STOPPING=1");
    daemon->wait_log("did not end in time");
    machine->unblock();
    EXPECT_EQ(reason(attaching.status.get()), "cancelled");
    EXPECT_EQ(daemon->wait(), 0) << daemon->log();
    expect_untouched(before);
}

TEST_F(Call, KilledInTheMiddleTheNextDaemonPutsItRight) {
    start_with_sandbox();
    ASSERT_TRUE(attach("mtty-1", uuid_b).ok()); // of another kind: one GVT-g vGPU per guest
    const auto before = snapshot();
    v1::WatchRequest request;
    grpc::ClientContext watching;
    auto stream = client->sandboxes->Watch(&watching, request);
    v1::WatchResponse response;
    ASSERT_TRUE(stream->Read(&response));
    ASSERT_TRUE(response.has_snapshot());
    const auto seen = response.snapshot().revision();
    EXPECT_EQ(response.snapshot().sandboxes(0).attachments_size(), 1);

    machine->block_on("device_add");
    Attaching attaching(*client, attach_request(type8, uuid_a));
    machine->wait_blocked();
    daemon->signal(SIGKILL);
    EXPECT_EQ(daemon->wait(), -SIGKILL);
    EXPECT_EQ(attaching.status.get().error_code(), grpc::UNAVAILABLE);
    machine->unblock();
    start_daemon();
    auto after = snapshot();
    // The half of a write, which a kill leaves beside the file.
    std::erase_if(after.entries, [](const auto& entry) {
        return entry.first.find("/state.json.") != std::string::npos;
    });
    EXPECT_EQ(difference(before, after), "");
    // From where the stream broke.
    request.set_after_revision(seen);
    grpc::ClientContext again;
    stream = client->sandboxes->Watch(&again, request);
    ASSERT_TRUE(stream->Read(&response));
    EXPECT_EQ(response.event().kind(), v1::Event::KIND_DAEMON_STARTED)
        << response.ShortDebugString();
    EXPECT_GT(response.event().revision(), seen);
    ASSERT_EQ(response.event().reconciled().sandboxes_size(), 1);
    EXPECT_EQ(response.event().reconciled().sandboxes(0).verdict(),
              v1::ReconcileResponse::VERDICT_RECOVERED);
    again.TryCancel();
    (void)stream->Finish();
    EXPECT_TRUE(detach(uuid_b).ok());
}

} // namespace
} // namespace kata_vfio::service_test
