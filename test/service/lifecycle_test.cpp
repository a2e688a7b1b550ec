// SPDX-License-Identifier: Apache-2.0
// The daemon as a process: configuration, sockets, other clients.
#include "qemu/qmp/proxy/unix_listener.hpp"
#include "test/places/places.hpp"
#include "test/service/command.hpp"
#include "test/service/service_world.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <latch>
#include <thread>

namespace kata_vfio::service_test {
namespace {

using Lifecycle = Service;

TEST_F(Lifecycle, HupTakesAGoodConfigurationAndKeepsTheOldOneInPlaceOfABad) {
    start_with_sandbox();
    ASSERT_TRUE(attach(type8, uuid_a).ok());
    configure("", "allowed_types = [\"none\"]");
    daemon->signal(SIGHUP);
    daemon->wait_notified("RELOADING=1");
    daemon->wait_notified("READY=1");
    EXPECT_EQ(reason(attach(type8, uuid_b)), "not_allowed");
    EXPECT_TRUE(detach(uuid_a).ok()); // of a sandbox that was opened under the old one
    configure("", "allowed_types = [\"none\"]", "", "q35");
    daemon->signal(SIGHUP);
    EXPECT_NE(daemon->wait_notified("READY=1").find("the new one is bad"), std::string::npos);
    EXPECT_EQ(reason(attach(type8, uuid_b)), "not_allowed");
    EXPECT_NE(daemon->log().find("the configuration stays as it was"), std::string::npos);
    configure();
    daemon->signal(SIGHUP);
    daemon->wait_notified("READY=1");
    EXPECT_TRUE(attach("mtty-1", uuid_b).ok());
}

TEST_F(Lifecycle, HupDuringACallLetsItFinishUnderItsOwnConfiguration) {
    start_with_sandbox();
    machine->block_on("device_add");
    grpc::ClientContext context;
    v1::AttachResponse response;
    grpc::Status status;
    std::thread attaching([&] {
        status = client->devices->Attach(&context, attach_request(type8, uuid_a), &response);
    });
    machine->wait_blocked();
    configure("", "allowed_types = [\"none\"]");
    daemon->signal(SIGHUP);
    daemon->wait_log("the configuration was read again");
    machine->unblock();
    attaching.join();
    EXPECT_TRUE(status.ok()) << text(status);
    EXPECT_EQ(reason(attach(type8, uuid_b)), "not_allowed");
    EXPECT_TRUE(detach(uuid_a).ok());
}

TEST_F(Lifecycle, SystemdsSocketOutlivesTheDaemon) {
    kernel = std::make_unique<fake::FakeKernel>(root);
    const qemu::UnixListener listener(socket.string());
    daemon->start_activated(args(), listener.fd());
    client = std::make_unique<Client>(address());
    open();
    daemon->signal(SIGTERM);
    EXPECT_EQ(daemon->wait(), 0) << daemon->log();
    EXPECT_TRUE(std::filesystem::exists(socket));
    // A client that comes meanwhile waits in the queue.
    v1::ListResponse all;
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    grpc::Status status;
    Client early(address());
    std::thread waiting([&] { status = early.sandboxes->List(&context, {}, &all); });
    daemon->start_activated(args(), listener.fd());
    waiting.join();
    EXPECT_TRUE(status.ok()) << text(status);
    EXPECT_EQ(all.sandboxes_size(), 1);
}

TEST_F(Lifecycle, TheOwnSocketGoesWithTheDaemonAndADeadOnesIsReplaced) {
    start_daemon();
    daemon->signal(SIGKILL);
    daemon->wait();
    EXPECT_TRUE(std::filesystem::exists(socket));
    start_daemon();
    daemon->signal(SIGINT);
    EXPECT_EQ(daemon->wait(), 0) << daemon->log();
    EXPECT_FALSE(std::filesystem::exists(socket));
}

TEST_F(Lifecycle, TcpIsForClientsWithACertificateAlone) {
    std::ofstream(directory / "certificates") << R"(set -e
        new() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout $1.key "${@:2}"; }
        new ca -x509 -days 2 -out ca.pem
        new stranger -x509 -days 2 -out stranger.pem
        for who in localhost client; do
            new $who -out $who.csr
            printf 'subjectAltName=DNS:%s' $who > $who.ext
            openssl x509 -req -in $who.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile $who.ext -out $who.pem
        done)";
    const auto made = run("cd " + directory.string() + " && bash ./certificates");
    ASSERT_EQ(made.status, 0) << made.out;
    const auto metrics = (directory / "m.sock").string();
    // A port that is free at this moment.
    const UniqueFd probe(::socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in address_in{};
    address_in.sin_family = AF_INET;
    address_in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address_in;
    ASSERT_EQ(::bind(probe.get(), reinterpret_cast<sockaddr*>(&address_in), size), 0);
    ASSERT_EQ(::getsockname(probe.get(), reinterpret_cast<sockaddr*>(&address_in), &size), 0);
    const auto port = std::to_string(ntohs(address_in.sin_port));
    ::close(const_cast<UniqueFd&>(probe).release());
    const auto pem = [&](const char* name) {
        std::ifstream file(directory / name);
        return std::string(std::istreambuf_iterator<char>(file), {});
    };
    configure("tcp = \"127.0.0.1:" + port + "\"\ntls_certificate = \"" + directory.string() +
              "/localhost.pem\"\ntls_key = \"" + directory.string() +
              "/localhost.key\"\ntls_client_ca = \"" + directory.string() + "/ca.pem\"" +
              "\nmetrics = \"unix:" + metrics + "\"");
    start_daemon();
    // Two that will never finish: one says nothing, one half of a TLS record.
    std::array<UniqueFd, 2> silent;
    for (auto& fd : silent) {
        fd.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const timeval patience{60, 0};
        ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        ASSERT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address_in), size), 0);
    }
    ASSERT_EQ(::write(silent[1].get(), "\x16\x03\x01\x02\x00\x01", 6), 6);
    const auto list = [&](const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
        const auto channel = grpc::CreateChannel("localhost:" + port, credentials);
        const auto stub = v1::Sandboxes::NewStub(channel);
        v1::ListResponse all;
        grpc::ClientContext context;
        context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
        return stub->List(&context, {}, &all);
    };
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = pem("ca.pem");
    EXPECT_EQ(list(grpc::SslCredentials(options)).error_code(), grpc::UNAVAILABLE);
    options.pem_cert_chain = pem("stranger.pem");
    options.pem_private_key = pem("stranger.key");
    EXPECT_EQ(list(grpc::SslCredentials(options)).error_code(), grpc::UNAVAILABLE);
    EXPECT_EQ(list(grpc::InsecureChannelCredentials()).error_code(), grpc::UNAVAILABLE);
    options.pem_cert_chain = pem("client.pem");
    options.pem_private_key = pem("client.key");
    const auto status = list(grpc::SslCredentials(options));
    EXPECT_TRUE(status.ok()) << text(status);
    for (auto& fd : silent) {
        char byte = 0;
        EXPECT_EQ(::read(fd.get(), &byte, 1), 0) << "it is closed after 10 s";
    }

    // Each of the three has left one line, and gRPC none of its own beside it.
    daemon->wait_log("wrong version number (told once a minute)");
    const auto log = daemon->log();
    for (const char* why : {"peer did not return a certificate", "certificate verify failed",
                            "wrong version number"}) {
        const auto line = std::string("refused: a client on TCP, in the TLS handshake: ") + why;
        const auto first = log.find(line);
        EXPECT_NE(first, std::string::npos) << why << "\n" << log;
        EXPECT_EQ(log.find(why), log.rfind(why)) << log;
    }
    // A client whose handshake has failed tries again until its deadline: at least one of each.
    const auto counted = get_metrics(metrics);
    for (const char* reason : {"no_certificate", "certificate_refused", "not_tls"}) {
        const auto line =
            "kata_vfio_refused_connections_total{reason=\"" + std::string(reason) + "\"} ";
        const auto at = counted.find(line);
        ASSERT_NE(at, std::string::npos) << reason << "\n" << counted;
        EXPECT_GE(std::atoi(counted.c_str() + at + line.size()), 1) << reason << "\n" << counted;
    }
    for (const char* reason : {"peer_not_allowed", "tls_version", "handshake_failed"})
        EXPECT_NE(counted.find("{reason=\"" + std::string(reason) + "\"} 0\n"), std::string::npos)
            << reason << "\n"
            << counted;
}

TEST_F(Lifecycle, APythonClientKnowsTheApiByReflection) {
    start_with_sandbox();
    const auto ran = run("/usr/bin/python3 " + std::string(test::source_dir) +
                         "/test/service/reflection_client.py " + address());
    EXPECT_EQ(ran.status, 0) << ran.out;
    EXPECT_NE(ran.out.find("attached at 0000:00:05.0"), std::string::npos) << ran.out;
    EXPECT_NE(ran.out.find("watched KIND_DEVICE_ATTACHED"), std::string::npos) << ran.out;
    EXPECT_NE(ran.out.find("refused type_not_found"), std::string::npos) << ran.out;
    EXPECT_NE(ran.out.find("health SERVING"), std::string::npos) << ran.out;
}

TEST_F(Lifecycle, TwoHundredClientsAtOnce) {
    start_with_sandbox();
    std::atomic<int> errors{0};
    std::vector<std::thread> threads;
    std::latch all_there(200); // a short queue of the socket fails some of them
    for (int i = 0; i < 200; ++i)
        threads.emplace_back([&] {
            Client one(address());
            all_there.arrive_and_wait();
            for (int j = 0; j < 5; ++j) {
                v1::ListDevicesRequest request;
                request.set_sandbox("sb1");
                v1::ListDevicesResponse devices;
                grpc::ClientContext context;
                errors += !one.devices->List(&context, request, &devices).ok();
            }
        });
    for (auto& thread : threads)
        thread.join();
    EXPECT_EQ(errors, 0);
}

TEST_F(Lifecycle, AStormOfAttachesIsServedInTurnWithinTheHostsCapacity) {
    start_with_sandbox();
    std::atomic<int> attached{0}, full{0}, other{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 40; ++i)
        threads.emplace_back([&] {
            const auto status = attach("mtty-1");
            if (status.ok())
                ++attached;
            else if (reason(status) == "no_instances" || reason(status) == "root_bus_full")
                ++full;
            else
                ++other;
        });
    for (auto& thread : threads)
        thread.join();
    EXPECT_GT(attached, 0);
    EXPECT_EQ(attached + full, 40);
    EXPECT_EQ(other, 0);
    EXPECT_EQ(machine->devices().size(), 3u + static_cast<std::size_t>(attached));
}

} // namespace
} // namespace kata_vfio::service_test
