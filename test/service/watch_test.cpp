// SPDX-License-Identifier: Apache-2.0
// Streams of events: what comes, from where on, and what a slow client costs.
#include "test/service/service_world.hpp"

#include <future>

namespace kata_vfio::service_test {
namespace {

using Watch = Service;
using Kind = v1::Event;

struct Stream {
    Stream(Client& client, const v1::WatchRequest& request)
        : reader(client.sandboxes->Watch(&context, request)) {}
    ~Stream() {
        context.TryCancel();
        v1::WatchResponse rest;
        while (reader->Read(&rest))
            ;
        if (!ended)
            (void)reader->Finish();
    }
    v1::WatchResponse next() {
        v1::WatchResponse response;
        if (!reader->Read(&response))
            ADD_FAILURE() << "the stream has ended";
        return response;
    }
    grpc::Status end() {
        ended = true;
        return reader->Finish();
    }
    bool ended = false;
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<v1::WatchResponse>> reader;
};

TEST_F(Watch, ASnapshotThenWhatHappens) {
    start_with_sandbox();
    ASSERT_TRUE(attach(type8, uuid_a).ok());
    Stream stream(*client, {});
    const auto first = stream.next();
    ASSERT_TRUE(first.has_snapshot());
    ASSERT_EQ(first.snapshot().sandboxes_size(), 1);
    EXPECT_EQ(first.snapshot().sandboxes(0).attachments_size(), 1);
    ASSERT_TRUE(detach(uuid_a).ok());
    const auto detached = stream.next().event();
    EXPECT_EQ(detached.kind(), Kind::KIND_DEVICE_DETACHED);
    EXPECT_EQ(detached.sandbox(), "sb1");
    ASSERT_EQ(detached.attachments_size(), 1);
    EXPECT_EQ(detached.attachments(0).uuid(), uuid_a);
    EXPECT_GT(detached.revision(), first.snapshot().revision());
    EXPECT_FALSE(attach("i915-GVTg_V9_9").ok());
    const auto failed = stream.next().event();
    EXPECT_EQ(failed.kind(), Kind::KIND_CALL_FAILED);
    EXPECT_EQ(failed.error().name(), "type_not_found");
    machine->kill();
    const auto gone = stream.next().event();
    EXPECT_TRUE(gone.kind() == Kind::KIND_QEMU_GONE || gone.kind() == Kind::KIND_MONITOR);
}

TEST_F(Watch, StepsOnlyForThoseWhoAskAndOneSandboxOnly) {
    start_with_sandbox();
    v1::WatchRequest request;
    request.set_after_revision(0);
    request.set_steps(true);
    request.add_sandboxes("sb1");
    Stream steps(*client, request);
    request.clear_steps();
    Stream plain(*client, request);
    request.clear_sandboxes();
    request.add_sandboxes("another");
    Stream other(*client, request);
    grpc::ClientContext context;
    v1::AttachResponse response;
    ASSERT_TRUE(
        client->devices->Attach(&context, attach_request(type8, uuid_a, "r7"), &response).ok());
    std::vector<std::string> texts;
    for (;;) {
        const auto event = steps.next().event();
        EXPECT_EQ(event.sandbox(), "sb1");
        if (event.kind() == Kind::KIND_STEP && event.request_id() == "r7")
            texts.push_back(event.text());
        if (event.kind() == Kind::KIND_DEVICE_ATTACHED && event.request_id() == "r7")
            break;
    }
    ASSERT_EQ(texts.size(), 2u);
    EXPECT_TRUE(texts[0].starts_with("create vGPU"));
    EXPECT_TRUE(texts[1].starts_with("plug"));
    for (;;) {
        const auto event = plain.next().event();
        EXPECT_NE(event.kind(), Kind::KIND_STEP);
        if (event.request_id() == "r7")
            break;
    }
    // An event of its own sandbox is the first that it gets: of the others it has had none.
    v1::OpenRequest open_another;
    open_another.set_sandbox("another");
    open_another.set_qmp_socket("/nowhere");
    v1::Sandbox unused;
    grpc::ClientContext opening;
    EXPECT_FALSE(client->sandboxes->Open(&opening, open_another, &unused).ok());
    const auto first = other.next().event();
    EXPECT_EQ(first.sandbox(), "another") << first.ShortDebugString();
    EXPECT_EQ(first.kind(), Kind::KIND_CALL_FAILED) << first.ShortDebugString();
}

TEST_F(Watch, GoesOnFromARevision) {
    start_with_sandbox();
    v1::WatchRequest request;
    request.set_after_revision(0);
    std::vector<std::uint64_t> seen;
    {
        Stream all(*client, request);
        for (;;) {
            const auto event = all.next().event();
            seen.push_back(event.revision());
            if (event.kind() == Kind::KIND_DEVICE_DETACHED)
                break;
        }
    }
    EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
    ASSERT_GE(seen.size(), 4u); // started, opened, attached, detached
    request.set_after_revision(seen[1]);
    Stream rest(*client, request);
    EXPECT_EQ(rest.next().event().revision(), seen[2]);
    EXPECT_EQ(rest.next().event().revision(), seen[3]);
    // One of the future, or of another host: a snapshot.
    request.set_after_revision(seen.back() + 1'000'000'000'000);
    Stream lost(*client, request);
    EXPECT_TRUE(lost.next().has_snapshot());
}

TEST_F(Watch, AClientThatDoesNotReadIsCutAndHoldsUpNobody) {
    start_with_sandbox();
    Client sleeper(address(), 16384);
    v1::WatchRequest request;
    request.set_steps(true);
    Stream slow(sleeper, request);
    ASSERT_TRUE(slow.next().has_snapshot());
    Stream quick(*client, {});
    ASSERT_TRUE(quick.next().has_snapshot());
    // Events of calls that fail: more than the daemon keeps.
    constexpr int rounds = 4096 + 600;
    auto reading = std::async(std::launch::async, [&] {
        int count = 0;
        while (count < rounds)
            count += quick.next().event().kind() == Kind::KIND_CALL_FAILED;
        return count;
    });
    for (int i = 0; i < rounds; ++i)
        ASSERT_EQ(reason(attach("..")), "malformed_device");
    EXPECT_EQ(reading.get(), rounds);
    v1::WatchResponse response;
    int given = 0;
    while (slow.reader->Read(&response))
        ++given;
    const auto status = slow.end();
    EXPECT_EQ(reason(status), "watcher_too_slow") << text(status);
    EXPECT_LT(given, rounds / 2); // what the connection's buffers have held
}

} // namespace
} // namespace kata_vfio::service_test
