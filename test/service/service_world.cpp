// SPDX-License-Identifier: Apache-2.0
#include "test/service/service_world.hpp"

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

#include <unistd.h>

#include <fstream>

namespace kata_vfio::service_test {
namespace fs = std::filesystem;

Client::Client(const std::string& address, int window) {
    grpc::ChannelArguments arguments;
    // Channels to one address share a connection otherwise.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    if (window > 0) {
        arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
        arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, window);
    }
    channel = grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
    host = v1::Host::NewStub(channel);
    sandboxes = v1::Sandboxes::NewStub(channel);
    devices = v1::Devices::NewStub(channel);
    operations = v1::Operations::NewStub(channel);
    qmp = v1::Qmp::NewStub(channel);
}

Service::Service() {
    std::string name = (fs::temp_directory_path() / "kata-vfio-service.XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
        throw std::runtime_error("can't make " + name);
    directory = name;
    config = directory / "configuration.toml";
    socket = directory / "d.sock";
    configure();
    root.populate_gvt_host();
    root.populate_mtty();
    machine = std::make_unique<fake::FakeMachine>();
    daemon = std::make_unique<DaemonProcess>(directory);
}

Service::~Service() {
    client.reset();
    if (HasFailure())
        std::cerr << daemon->log();
    daemon.reset();
    machine.reset();
    kernel.reset();
    fs::remove_all(directory);
}

void Service::configure(std::string_view in_daemon, std::string_view vfio,
                        std::string_view timeouts, std::string_view machine_type) const {
    std::ofstream(config, std::ios::trunc)
        << "[hypervisor.qemu]\nmachine_type = \"" << machine_type
        << "\"\nhotplug_vfio_on_root_bus = true\nenable_annotations = [\"machine_type\"]\n[vfio]\n"
        << vfio << "\n[vfio.timeouts]\n"
        << timeouts << "\n[vfio.daemon]\n"
        << in_daemon << "\n"
        << std::flush;
}

std::vector<std::string> Service::args() const {
    return {"--config",           config.string(), "--root",
            root.path().string(), "--socket",      socket.string()};
}

void Service::start_daemon() {
    if (!kernel)
        kernel = std::make_unique<fake::FakeKernel>(root);
    daemon->start(args());
    client = std::make_unique<Client>(address());
}

void Service::open(const std::string& id) {
    v1::OpenRequest request;
    request.set_sandbox(id);
    request.set_qmp_socket(machine->path());
    v1::Sandbox sandbox;
    grpc::ClientContext context;
    const auto status = client->sandboxes->Open(&context, request, &sandbox);
    ASSERT_TRUE(status.ok()) << text(status);
    EXPECT_EQ(sandbox.sandbox(), id);
    EXPECT_EQ(sandbox.machine(), "pc-i440fx-7.2");
}

void Service::start_with_sandbox() {
    machine->fill_bus(3);
    start_daemon();
    open();
    ASSERT_TRUE(attach(type8).ok());
    ASSERT_TRUE(detach(type8).ok());
}

abi_test::Snapshot Service::snapshot() const {
    if (kernel)
        (void)kernel->log();
    auto all = abi_test::Snapshot::of(root.path());
    std::erase_if(all.entries, [](const auto& entry) {
        return entry.first.starts_with("run/kata-vfio/daemon") || entry.first.ends_with("/lock");
    });
    return all;
}

void Service::expect_untouched(const abi_test::Snapshot& before) const {
    EXPECT_EQ(difference(before, snapshot()), "");
}

v1::AttachRequest Service::attach_request(std::string_view device, std::string_view uuid,
                                          std::string_view request_id) const {
    v1::AttachRequest request;
    request.set_sandbox("sb1");
    request.set_device(std::string(device));
    request.set_uuid(std::string(uuid));
    request.set_request_id(std::string(request_id));
    return request;
}

grpc::Status Service::attach(std::string_view device, std::string_view uuid,
                             v1::AttachResponse* response) {
    v1::AttachResponse unused;
    grpc::ClientContext context;
    return client->devices->Attach(&context, attach_request(device, uuid),
                                   response ? response : &unused);
}

grpc::Status Service::detach(std::string_view device) {
    v1::DetachRequest request;
    request.set_sandbox("sb1");
    request.set_device(std::string(device));
    v1::DetachResponse response;
    grpc::ClientContext context;
    return client->devices->Detach(&context, request, &response);
}

std::string reason(const grpc::Status& status) {
    google::rpc::Status full;
    full.ParseFromString(status.error_details());
    for (const auto& detail : full.details()) {
        google::rpc::ErrorInfo info;
        if (detail.UnpackTo(&info))
            return info.reason();
    }
    return {};
}

std::string text(const grpc::Status& status) {
    return std::to_string(status.error_code()) + " " + reason(status) + ": " +
           status.error_message();
}

} // namespace kata_vfio::service_test
