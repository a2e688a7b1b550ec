// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/daemon/server.hpp"

#include "config/base/file.hpp"
#include "kata_vfio/v1/devices.grpc.pb.h"
#include "kata_vfio/v1/host.grpc.pb.h"
#include "kata_vfio/v1/operations.grpc.pb.h"
#include "kata_vfio/v1/qmp.grpc.pb.h"
#include "kata_vfio/v1/sandboxes.grpc.pb.h"
#include "runtime-plugin/daemon/devices_service.hpp"
#include "runtime-plugin/daemon/host_service.hpp"
#include "runtime-plugin/daemon/log.hpp"
#include "runtime-plugin/daemon/qmp_service.hpp"
#include "runtime-plugin/daemon/sandboxes_service.hpp"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/server_builder_option.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <unistd.h>

#include <array>
#include <chrono>

namespace kata_vfio::daemon {
namespace {

std::string pem(const std::string& file) {
    auto text = read_file(file, 1u << 20);
    if (!text)
        throw Failure(Errc::host_io, "the TLS file " + file + " does not exist")
            .remedy("see tls_certificate, tls_key and tls_client_ca of [vfio.daemon]");
    return std::move(*text);
}

std::shared_ptr<grpc::ServerCredentials> mutual_tls(const config::Daemon& settings) {
    grpc::SslServerCredentialsOptions options(
        GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
    options.pem_root_certs = pem(settings.tls_client_ca);
    options.pem_key_cert_pairs.push_back({pem(settings.tls_key), pem(settings.tls_certificate)});
    return grpc::SslServerCredentials(options);
}

/// Reflection is a plugin that its library gives to every server of the process.
struct WithoutPlugins final : grpc::ServerBuilderOption {
    void UpdateArguments(grpc::ChannelArguments* /*arguments*/) override {}
    void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>* plugins) override {
        plugins->clear();
    }
};

/// Of all messages together that gRPC has, or has in part. Above it gRPC closes idle connections
/// and then cancels streams, one of each connection in turn and whichever it meets: what keeps the
/// process alive, and no justice among clients.
constexpr std::size_t most_in_flight = 128u << 20;

void limits(grpc::ServerBuilder& builder, const grpc::ResourceQuota& memory) {
    builder.SetMaxReceiveMessageSize(int{largest_taken});
    builder.SetResourceQuota(memory);
    // What it finds out is how much a slow line holds: nothing of a unix socket's, nor of a TCP
    // client's whose messages are a few hundred bytes, where each request costs a ping and its
    // answer by it.
    builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    // Reflection is served by threads of its own; two are plenty.
    builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
    builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
    builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 2);
    builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 10000);
    // A client that vanished from the network is found within a minute.
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 30000);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20000);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5000);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
}

} // namespace

struct Server::Services {
    explicit Services(Core& core) : gate(core) {
        serve_host(gate, core);
        serve_sandboxes(gate, core);
        serve_devices(gate, core);
        serve_operations(gate, core);
        serve_qmp(gate, core);
    }
    Gate gate;
    std::array<Listed, 5> listed{
        Listed(v1::Host::service_full_name()), Listed(v1::Sandboxes::service_full_name()),
        Listed(v1::Devices::service_full_name()), Listed(v1::Operations::service_full_name()),
        Listed(v1::Qmp::service_full_name())};
};

/// Answers every call, of whatever service, with a refusal.
struct Server::Doorman final : grpc::CallbackGenericService {
    class Refusal final : public grpc::ServerGenericBidiReactor {
      public:
        Refusal() {
            Finish(rpc::status_of(rpc::ServiceRefusal::peer_not_allowed,
                                  "this user is not in allowed_uids of [vfio.daemon]"));
        }
        void OnDone() override { delete this; }
    };
    grpc::ServerGenericBidiReactor*
    CreateReactor(grpc::GenericCallbackServerContext* /*context*/) override {
        return new Refusal;
    }
};

Server::Server(Core& core)
    : core_(core), services_(std::make_unique<Services>(core)),
      doorman_(std::make_unique<Doorman>()) {
    using Type = grpc::ServerBuilder::experimental_type::ExternalConnectionType;
    grpc::ResourceQuota memory("kata-vfiod");
    memory.Resize(most_in_flight);
    {
        // First: the health service, once switched on, is so for every server of the process.
        grpc::ServerBuilder builder;
        builder.SetOption(std::make_unique<WithoutPlugins>());
        limits(builder, memory);
        builder.RegisterCallbackGenericService(doorman_.get());
        // They hold a descriptor each until they have been told.
        builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, 5000);
        builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, 1000);
        refused_acceptor_ = builder.experimental().AddExternalConnectionAcceptor(
            Type::FROM_FD, grpc::InsecureServerCredentials());
        refusing_ = builder.BuildAndStart();
    }
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    grpc::ServerBuilder builder;
    limits(builder, memory);
    for (auto& service : services_->listed)
        builder.RegisterService(&service);
    builder.RegisterCallbackGenericService(&services_->gate);
    // Of a unix socket whose peer has been asked for: the credentials are the kernel's word.
    acceptor_ = builder.experimental().AddExternalConnectionAcceptor(
        Type::FROM_FD, grpc::InsecureServerCredentials());
    const auto& settings = core.configuration().vfio.daemon;
    if (!settings.tcp.empty())
        builder.AddListeningPort(settings.tcp, mutual_tls(settings), &tcp_port_);
    serving_ = builder.BuildAndStart();
    if (!serving_ || !refusing_ || (!settings.tcp.empty() && tcp_port_ == 0))
        throw Failure(Errc::host_io, settings.tcp.empty() ? "gRPC's server can't be started"
                                                          : "can't serve on " + settings.tcp)
            .remedy("see the messages above");
    serving(false);
}

Server::~Server() = default;

bool Server::allowed(uid_t uid) const {
    const auto& uids = core_.configuration().vfio.daemon.allowed_uids;
    if (uids.empty())
        return uid == ::geteuid();
    for (const auto& text : uids)
        if (text == std::to_string(uid))
            return true;
    return false;
}

void Server::take(UniqueFd socket, const Listener::Peer& peer) {
    Acceptor::NewConnectionParameters connection;
    connection.fd = socket.release();
    if (allowed(peer.uid)) {
        log(Level::debug,
            "client of uid " + std::to_string(peer.uid) + ", pid " + std::to_string(peer.pid));
        return acceptor_->HandleNewConnection(&connection);
    }
    core_.metrics.refused_connection("peer_not_allowed");
    // Once each: whoever is refused may try as often as it likes.
    if (told_.size() < 1024 && told_.insert(peer.uid).second)
        log(Level::warning, "refused: uid " + std::to_string(peer.uid) + ", pid " +
                                std::to_string(peer.pid) +
                                ", is not in allowed_uids (told once for each uid)");
    // Of those whom nobody lets in, no more than are told in time: the rest find a closed
    // connection.
    const auto now = std::chrono::steady_clock::now();
    while (!told_lately_.empty() && now - told_lately_.front() > std::chrono::seconds(10))
        told_lately_.pop_front();
    if (told_lately_.size() >= most_told) {
        ::close(connection.fd);
        return;
    }
    told_lately_.push_back(now);
    refused_acceptor_->HandleNewConnection(&connection);
}

void Server::serving(bool yes) {
    auto* health = serving_->GetHealthCheckService();
    health->SetServingStatus(yes);
    for (const char* name : {"kata_vfio.v1.Host", "kata_vfio.v1.Sandboxes", "kata_vfio.v1.Devices",
                             "kata_vfio.v1.Operations", "kata_vfio.v1.Qmp"})
        health->SetServingStatus(name, yes);
}

void Server::shutdown() {
    const auto soon = std::chrono::system_clock::now() + std::chrono::milliseconds(200);
    serving_->Shutdown(soon);
    refusing_->Shutdown(soon);
    serving_->Wait();
    refusing_->Wait();
}

} // namespace kata_vfio::daemon
