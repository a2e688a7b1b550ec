// SPDX-License-Identifier: Apache-2.0
// What is refused, and that it changes nothing.
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "test/service/service_world.hpp"

#include <grpcpp/generic/generic_stub.h>

#include <future>

namespace kata_vfio::service_test {
namespace {

using Refused = Service;

std::size_t times(const std::string& log, const std::string& part) {
    std::size_t count = 0;
    for (auto at = log.find(part); at != std::string::npos; at = log.find(part, at + 1))
        ++count;
    return count;
}

/// Sends bytes as a unary request.
grpc::Status send(Client& client, const std::string& method, const std::string& bytes) {
    grpc::GenericStub stub(client.channel);
    const grpc::Slice slice(bytes);
    const grpc::ByteBuffer request(&slice, 1);
    grpc::ByteBuffer response;
    grpc::ClientContext context;
    std::promise<grpc::Status> done;
    stub.UnaryCall(&context, method, {}, &request, &response,
                   [&](grpc::Status status) { done.set_value(std::move(status)); });
    return done.get_future().get();
}

TEST_F(Refused, AForeignVgpuADeviceInUseAndASlotTooFew) {
    start_with_sandbox();
    const auto before = snapshot();
    const std::pair<std::string_view, std::string_view> table[] = {
        {"i915-GVTg_V9_9", "type_not_found"},
        {"0000:00:1e.0", "device_not_found"},
        {"..", "malformed_device"},
        {"/dev/vfio/vfio", "not_a_vfio_node"},
        {"bbc4aafe-5807-11e8-a43e-03533cceae7d", "device_not_found"},
    };
    const auto logged = [&] { return times(daemon->log(), "Devices/Attach: "); };
    ASSERT_EQ(logged(), 0u);
    for (const auto& [device, wanted] : table) {
        const auto earlier = logged();
        const auto status = attach(device);
        EXPECT_EQ(reason(status), wanted) << device << ": " << text(status);
        EXPECT_EQ(logged(), earlier + 1) << device;
        expect_untouched(before);
    }
    machine->fill_bus(27);
    const auto status = attach(type8);
    EXPECT_EQ(status.error_code(), grpc::RESOURCE_EXHAUSTED) << text(status);
    expect_untouched(before);
}

TEST_F(Refused, PolicyWithItsPrecondition) {
    configure("", "allowed_types = [\"none\"]");
    start_daemon();
    open();
    const auto before = snapshot();
    const auto status = attach(type8);
    EXPECT_EQ(status.error_code(), grpc::PERMISSION_DENIED) << text(status);
    google::rpc::Status full;
    ASSERT_TRUE(full.ParseFromString(status.error_details()));
    bool found = false;
    for (const auto& detail : full.details()) {
        google::rpc::PreconditionFailure failure;
        if (!detail.UnpackTo(&failure))
            continue;
        found = true;
        EXPECT_EQ(failure.violations(0).type(), "not_allowed");
        EXPECT_EQ(failure.violations(0).subject(), type8);
    }
    EXPECT_TRUE(found);
    expect_untouched(before);
}

TEST_F(Refused, ALiveMachineThatIsNoPc) {
    fake::FakeMachine::Options options;
    options.machine = "pc-q35-7.2-machine";
    machine = std::make_unique<fake::FakeMachine>(options);
    start_daemon();
    const auto before = snapshot();
    v1::OpenRequest request;
    request.set_sandbox("sb1");
    request.set_qmp_socket(machine->path());
    v1::Sandbox sandbox;
    grpc::ClientContext context;
    const auto status = client->sandboxes->Open(&context, request, &sandbox);
    EXPECT_EQ(status.error_code(), grpc::FAILED_PRECONDITION);
    EXPECT_EQ(reason(status), "live_machine_refused") << text(status);
    expect_untouched(before);
}

TEST_F(Refused, WhatIsMalformedOrMissing) {
    start_daemon();
    const auto before = snapshot();
    EXPECT_EQ(reason(attach(type8)), "sandbox_not_found");
    {
        v1::ListDevicesRequest request;
        v1::ListDevicesResponse response;
        grpc::ClientContext context;
        EXPECT_EQ(reason(client->devices->List(&context, request, &response)),
                  "malformed_sandbox_id");
    }
    {
        grpc::ClientContext context;
        v1::AttachResponse response;
        const auto status =
            client->devices->Attach(&context, attach_request(type8, {}, "no spaces"), &response);
        EXPECT_EQ(reason(status), "invalid_argument") << text(status);
    }
    expect_untouched(before);
}

/// Sends bytes to a method that streams, and reads to its end.
grpc::Status stream(Client& client, const std::string& method, const std::string& bytes) {
    grpc::GenericStub stub(client.channel);
    const grpc::Slice slice(bytes);
    const grpc::ByteBuffer request(&slice, 1);
    grpc::ClientContext context;
    grpc::CompletionQueue queue;
    void* tag = nullptr;
    bool ok = false;
    const auto call = stub.PrepareCall(&context, method, &queue);
    call->StartCall(nullptr);
    queue.Next(&tag, &ok);
    call->WriteLast(request, {}, nullptr);
    queue.Next(&tag, &ok);
    grpc::Status status;
    call->Finish(&status, nullptr);
    queue.Next(&tag, &ok);
    return status;
}

TEST_F(Refused, BytesThatAreNoMessageAreRefusedAndLoggedOnce) {
    start_daemon();
    const auto before = snapshot();
    const std::string no_length = "\x0a\xff\xff\xff\x7f", half_a_number = "\x0a\x80",
                      no_utf8 = "\x0a\x02\xff\xfe";
    using Send = grpc::Status (*)(Client&, const std::string&, const std::string&);
    struct Row {
        const char* method;
        Send send;
        bool begins_with_text;
    };
    for (const auto& [method, by, begins_with_text] :
         {Row{"Devices/Attach", send, true}, Row{"Devices/List", send, true},
          Row{"Host/Check", send, false}, Row{"Operations/Cancel", send, true},
          Row{"Sandboxes/Watch", stream, false}, Row{"Qmp/Events", stream, true},
          Row{"Qmp/Trace", stream, true}}) {
        auto sent = std::vector{no_length, half_a_number};
        if (begins_with_text)
            sent.push_back(no_utf8);
        for (const auto& bytes : sent) {
            const auto status = by(*client, "/kata_vfio.v1." + std::string(method), bytes);
            EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT) << method << text(status);
            EXPECT_EQ(reason(status), "malformed_message") << method;
        }
        EXPECT_EQ(times(daemon->log(), std::string(method) + ": refused: the "), sent.size())
            << daemon->log();
    }
    EXPECT_NE(daemon->log().find("from the unix socket, uid " + std::to_string(::geteuid())),
              std::string::npos)
        << daemon->log();
    // The daemon and the connection are well.
    v1::ListResponse all;
    grpc::ClientContext context;
    EXPECT_TRUE(client->sandboxes->List(&context, {}, &all).ok());
    expect_untouched(before);
}

TEST_F(Refused, MethodsThatAreNone) {
    start_daemon();
    for (const std::string method : {"/kata_vfio.v1.Devices/Explode", "/nobody.v1.Knows/This"}) {
        const auto status = send(*client, method, "");
        EXPECT_EQ(status.error_code(), grpc::UNIMPLEMENTED) << text(status);
        EXPECT_EQ(reason(status), "unknown_method") << text(status);
        daemon->wait_log(method);
        EXPECT_EQ(times(daemon->log(), method), 1u) << daemon->log();
    }
}

TEST_F(Refused, ARequestIdThatIsNoneIsLoggedOnce) {
    start_daemon();
    v1::AttachResponse response;
    grpc::ClientContext context;
    const auto status =
        client->devices->Attach(&context, attach_request(type8, {}, "no spaces"), &response);
    EXPECT_EQ(reason(status), "invalid_argument") << text(status);
    EXPECT_EQ(times(daemon->log(), "Devices/Attach: "), 1u) << daemon->log();
}

/// So many bytes, of any message whose first field is a text.
std::string message_of(std::size_t bytes) {
    // field 1, its length in 4 bytes: 5 in front of the text
    v1::ListDevicesRequest request;
    request.set_sandbox(std::string(bytes - 5, 'x'));
    EXPECT_EQ(request.ByteSizeLong(), bytes);
    return request.SerializeAsString();
}

TEST_F(Refused, AMessageOfOneByteTooMuch) {
    start_daemon();
    const std::size_t most = 4u << 20;
    const auto fits = message_of(most), one_more = message_of(most + 1);
    // Judged by its content
    for (const char* method : {"Devices/Attach", "Devices/List"}) {
        const auto status = send(*client, "/kata_vfio.v1." + std::string(method), fits);
        EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT) << text(status).substr(0, 300);
        EXPECT_EQ(times(daemon->log(), std::string(method) + ": "), 1u) << method;
    }
    EXPECT_EQ(reason(stream(*client, "/kata_vfio.v1.Qmp/Trace", fits)), "malformed_sandbox_id");
    EXPECT_EQ(times(daemon->log(), "Qmp/Trace: "), 1u);
    EXPECT_EQ(times(daemon->log(), "refused: the message has "), 0u) << daemon->log();

    for (const char* method : {"Devices/Attach", "Devices/List", "Host/Check"}) {
        const auto status = send(*client, "/kata_vfio.v1." + std::string(method), one_more);
        EXPECT_EQ(status.error_code(), grpc::RESOURCE_EXHAUSTED) << method;
        EXPECT_EQ(reason(status), "message_too_large") << method;
        EXPECT_EQ(times(daemon->log(), std::string(method) + ": refused: the message has 4194305 "
                                                             "bytes, more than 4194304, from "),
                  1u)
            << daemon->log().substr(0, 4096);
    }
    for (const char* method : {"Qmp/Trace", "Sandboxes/Watch"}) {
        const auto status = stream(*client, "/kata_vfio.v1." + std::string(method), one_more);
        EXPECT_EQ(status.error_code(), grpc::RESOURCE_EXHAUSTED) << method;
        EXPECT_EQ(reason(status), "message_too_large") << method;
        EXPECT_EQ(times(daemon->log(), std::string(method) + ": refused: the message has "), 1u);
    }
    EXPECT_LT(daemon->log().size(), 16384u); // not with all of what it was sent
    v1::ListResponse all;
    grpc::ClientContext after;
    EXPECT_TRUE(client->sandboxes->List(&after, {}, &all).ok());
}

TEST_F(Refused, AMessageAboveWhatGrpcTakesIsLoggedOnceToo) {
    start_daemon();
    const auto huge = message_of((16u << 20) + 1);
    EXPECT_EQ(send(*client, "/kata_vfio.v1.Devices/Attach", huge).error_code(),
              grpc::RESOURCE_EXHAUSTED);
    EXPECT_EQ(stream(*client, "/kata_vfio.v1.Sandboxes/Watch", huge).error_code(),
              grpc::RESOURCE_EXHAUSTED);
    daemon->wait_log("Devices/Attach: refused: no whole message came");
    daemon->wait_log("Sandboxes/Watch: refused: no whole message came");
    v1::ListResponse all;
    grpc::ClientContext after;
    EXPECT_TRUE(client->sandboxes->List(&after, {}, &all).ok());
    EXPECT_EQ(times(daemon->log(), "refused: "), 2u) << daemon->log();
}

TEST_F(Refused, AUserThatIsNotAllowedIsToldSoAndLoggedOnce) {
    configure("allowed_uids = [\"" + std::to_string(::geteuid() + 1) + "\"]");
    start_daemon();
    const auto before = snapshot();
    for (int i = 0; i < 3; ++i) {
        Client other(address());
        v1::ListResponse all;
        grpc::ClientContext context;
        const auto status = other.sandboxes->List(&context, {}, &all);
        EXPECT_EQ(status.error_code(), grpc::PERMISSION_DENIED) << text(status);
        EXPECT_EQ(reason(status), "peer_not_allowed");
        EXPECT_EQ(send(other, "/grpc.health.v1.Health/Check", "").error_code(),
                  grpc::PERMISSION_DENIED);
        EXPECT_EQ(send(other, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "")
                      .error_code(),
                  grpc::PERMISSION_DENIED);
        grpc::ClientContext watching;
        EXPECT_EQ(reason(other.sandboxes->Watch(&watching, {})->Finish()), "peer_not_allowed");
    }
    EXPECT_EQ(times(daemon->log(), "is not in allowed_uids"), 1u) << daemon->log();
    expect_untouched(before);
}

TEST_F(Refused, TheSocketIsTheOwnersAlone) {
    start_daemon();
    const auto mode = std::filesystem::status(socket).permissions();
    EXPECT_EQ(mode, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST_F(Refused, ABadConfigurationAtTheStart) {
    configure("", "", "", "q35");
    kernel = std::make_unique<fake::FakeKernel>(root);
    try {
        daemon->start(args());
        FAIL();
    } catch (const std::runtime_error& error) {
        EXPECT_NE(std::string(error.what()).find("ended with 3"), std::string::npos)
            << error.what();
    }
    configure("tcp = \"127.0.0.1:9\"");
    try {
        daemon->start(args());
        FAIL();
    } catch (const std::runtime_error& error) {
        EXPECT_NE(std::string(error.what()).find("tls_certificate is not"), std::string::npos)
            << error.what();
    }
}

TEST_F(Refused, ASecondDaemonOnTheSameSocket) {
    start_daemon();
    std::filesystem::create_directory(directory / "second");
    DaemonProcess second(directory / "second");
    try {
        second.start(args());
        FAIL();
    } catch (const std::runtime_error& error) {
        EXPECT_NE(std::string(error.what()).find("in use"), std::string::npos) << error.what();
    }
}

} // namespace
} // namespace kata_vfio::service_test
