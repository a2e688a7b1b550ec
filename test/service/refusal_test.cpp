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

TEST_F(Refused, BytesThatAreNoMessageAndMethodsThatAreNone) {
    start_daemon();
    const auto before = snapshot();
    const auto garbage = send(*client, "/kata_vfio.v1.Devices/Attach", "\x0a\xff\xff\xff\x7f");
    EXPECT_FALSE(garbage.ok());
    EXPECT_NE(garbage.error_code(), grpc::UNAVAILABLE) << text(garbage);
    // A text that is no UTF-8
    EXPECT_FALSE(send(*client, "/kata_vfio.v1.Devices/Attach", "\x0a\x02\xff\xfe").ok());
    EXPECT_EQ(send(*client, "/kata_vfio.v1.Devices/Explode", "").error_code(), grpc::UNIMPLEMENTED);
    EXPECT_EQ(send(*client, "/nobody.v1.Knows/This", "").error_code(), grpc::UNIMPLEMENTED);
    // The daemon and the connection are well.
    v1::ListResponse all;
    grpc::ClientContext context;
    EXPECT_TRUE(client->sandboxes->List(&context, {}, &all).ok());
    expect_untouched(before);
}

TEST_F(Refused, AMessageOfOneByteTooMuch) {
    start_daemon();
    v1::AttachRequest request;
    const std::size_t most = 4u << 20;
    // field 2, its length in 4 bytes: 5 in front of the text
    request.set_device(std::string(most - 5, 'x'));
    ASSERT_EQ(request.ByteSizeLong(), most);
    v1::AttachResponse response;
    {
        grpc::ClientContext context;
        const auto status = client->devices->Attach(&context, request, &response);
        EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT) << text(status).substr(0, 300);
    }
    EXPECT_EQ(times(daemon->log(), "Devices/Attach: "), 1u);
    EXPECT_LT(daemon->log().size(), 16384u); // not with all of what it was sent
    request.mutable_device()->push_back('x');
    ASSERT_EQ(request.ByteSizeLong(), most + 1);
    grpc::ClientContext context;
    const auto status = client->devices->Attach(&context, request, &response);
    EXPECT_EQ(status.error_code(), grpc::RESOURCE_EXHAUSTED) << text(status).substr(0, 300);
    v1::ListResponse all;
    grpc::ClientContext after;
    EXPECT_TRUE(client->sandboxes->List(&after, {}, &all).ok());
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
