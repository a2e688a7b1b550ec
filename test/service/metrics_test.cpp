// SPDX-License-Identifier: Apache-2.0
// What kata-vfiod tells Prometheus, and when.
#include "test/service/command.hpp"
#include "test/service/service_world.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <future>
#include <set>
#include <sstream>

namespace kata_vfio::service_test {
namespace {

using Metrics = Service;

TEST_F(Metrics, MetricsOfWhatHasHappened) {
    const auto metrics = (directory / "m.sock").string();
    configure("metrics = \"unix:" + metrics + "\"");
    start_with_sandbox();
    ASSERT_TRUE(attach(type8, uuid_a).ok());
    EXPECT_FALSE(attach("i915-GVTg_V9_9").ok());
    const auto text = get_metrics(metrics);
    for (const auto* line :
         {"kata_vfio_calls_total{method=\"Devices/Attach\",reason=\"ok\"} 2",
          "kata_vfio_calls_total{method=\"Devices/Attach\",reason=\"type_not_found\"} 1",
          "kata_vfio_calls_total{method=\"Devices/Detach\",reason=\"ok\"} 1",
          "kata_vfio_call_duration_seconds_count{method=\"Devices/Attach\"} 3",
          "kata_vfio_step_duration_seconds_count{method=\"Devices/Attach\",step=\"create_vgpu\"} 2",
          "kata_vfio_step_duration_seconds_count{method=\"Devices/Attach\",step=\"plug\"} 2",
          "kata_vfio_step_duration_seconds_count{method=\"Devices/Detach\",step=\"unplug\"} 1",
          "kata_vfio_attachments{kind=\"mdev\"} 1", "kata_vfio_attachments{kind=\"pci\"} 0",
          "kata_vfio_sandboxes{state=\"open\"} 1", "kata_vfio_sandboxes{state=\"recorded\"} 1",
          "kata_vfio_pending_removals 0", "kata_vfio_configuration_good 1",
          "kata_vfio_refused_connections_total{reason=\"peer_not_allowed\"} 0",
          "kata_vfio_refused_connections_total{reason=\"no_certificate\"} 0"})
        EXPECT_NE(text.find(std::string(line) + "\n"), std::string::npos) << line << "\n" << text;
    EXPECT_NE(text.find("kata_vfio_vgpus{"), std::string::npos);
    EXPECT_NE(text.find("kata_vfio_vgpu_available_instances{"), std::string::npos);
    ASSERT_TRUE(detach(uuid_a).ok());
    const auto after = get_metrics(metrics);
    EXPECT_EQ(after.find("kata_vfio_vgpus{"), std::string::npos) << "a gauge of what is gone";
    EXPECT_NE(run("curl -sS -o /dev/null -w '%{http_code}' --unix-socket " + metrics +
                  " http://localhost/")
                  .out.find("404"),
              std::string::npos);
    const auto checked = run("command -v promtool >/dev/null || { echo no promtool; exit 77; }; "
                             "curl -sS --unix-socket " +
                             metrics + " http://localhost/metrics | promtool check metrics");
    if (checked.status == 77)
        std::cout << "[ note ] promtool (Debian's prometheus) is not installed: its check of the "
                     "metrics was left out\n";
    else
        EXPECT_EQ(checked.status, 0) << checked.out;
}

TEST_F(Metrics, QmpRoundTripsFromTheWireLog) {
    const auto metrics = (directory / "m.sock").string();
    configure("metrics = \"unix:" + metrics + "\"", "qmp_log = true");
    start_with_sandbox();
    // The stream is at an end when the log has been written so far.
    v1::TraceRequest trace;
    trace.set_sandbox("sb1");
    trace.set_follow(true);
    grpc::ClientContext context;
    const auto stream = client->qmp->Trace(&context, trace);
    v1::TraceRecord record;
    while (stream->Read(&record))
        if (record.text().find("DEVICE_DELETED") != std::string::npos)
            break;
    context.TryCancel();
    (void)stream->Finish();
    const auto line = "kata_vfio_qmp_round_trip_seconds_count{command=\"device_add\"} ";
    EXPECT_NE(get_metrics(metrics).find(line + std::string("1\n")), std::string::npos);
    EXPECT_NE(get_metrics(metrics).find(line + std::string("1\n")), std::string::npos)
        << "not twice";
}

/// The first scrape of a sandbox reads all that its log has: not on the thread that serves calls,
/// and what two scrapes read at once is counted once.
TEST_F(Metrics, LongWireLogsHoldUpNobody) {
    const auto metrics = (directory / "m.sock").string();
    configure("metrics = \"unix:" + metrics + "\"", "qmp_log = true");
    start_with_sandbox();
    constexpr int exchanges = 150000;
    {
        // As if it had been rotated: 40 MB.
        std::ofstream log(root.path() / "run/kata-vfio/sandboxes/sb1/wire.log.1");
        const auto us = std::chrono::duration_cast<std::chrono::microseconds>(
                            std::chrono::steady_clock::now().time_since_epoch())
                            .count();
        for (int i = 0; i < exchanges; ++i)
            for (const char* rest :
                 {R"(,"kind":"sent","conn":1,"id":ID,"message":{"execute":"query-pci","id":ID}})",
                  R"(,"kind":"received","conn":1,"id":ID,"message":{"return":{},"id":ID}})"}) {
                std::string text = rest;
                for (auto at = text.find("ID"); at != text.npos; at = text.find("ID"))
                    text.replace(at, 2, std::to_string(i));
                log << "{\"us\":" << us + i << ",\"wall_us\":" << i << text << '\n';
            }
        ASSERT_TRUE(log.flush());
    }
    using Clock = std::chrono::steady_clock;
    const auto scrape = [&] {
        const auto began = Clock::now();
        const auto text = get_metrics(metrics);
        return std::pair{Clock::now() - began, text};
    };
    auto first = std::async(std::launch::async, scrape),
         second = std::async(std::launch::async, scrape);
    Clock::duration longest{};
    v1::ListDevicesRequest request;
    request.set_sandbox("sb1");
    int lists = 0;
    for (; first.wait_for(std::chrono::seconds(0)) != std::future_status::ready; ++lists) {
        v1::ListDevicesResponse response;
        grpc::ClientContext context;
        const auto began = Clock::now();
        ASSERT_TRUE(client->devices->List(&context, request, &response).ok());
        longest = std::max(longest, Clock::now() - began);
    }
    const auto [took, text] = first.get();
    EXPECT_GT(lists, 3);
    EXPECT_LT(longest, took / 2);
    const auto line = "kata_vfio_qmp_round_trip_seconds_count{command=\"query-pci\"} ";
    for (const auto& told : {text, second.get().second, get_metrics(metrics)}) {
        const auto at = told.find(line);
        ASSERT_NE(at, std::string::npos) << told;
        // And those of the sandbox's own: an attach asks for the bus, a scrape may come before.
        const auto count = std::atoi(told.c_str() + at + std::string_view(line).size());
        EXPECT_GE(count, exchanges);
        EXPECT_LT(count, exchanges + 10);
    }
}

/// Paths of the unix sockets that a process listens on, and "tcp" for each TCP one.
std::vector<std::string> listening(pid_t pid) {
    const std::filesystem::path process("/proc/" + std::to_string(pid));
    std::set<std::string> inodes;
    for (const auto& fd : std::filesystem::directory_iterator(process / "fd")) {
        std::error_code ec;
        const auto target = std::filesystem::read_symlink(fd.path(), ec).string();
        if (target.starts_with("socket:["))
            inodes.insert(target.substr(8, target.size() - 9));
    }
    std::vector<std::string> found;
    std::ifstream unix_sockets(process / "net/unix");
    std::string line;
    while (std::getline(unix_sockets, line)) { // Num RefCount Protocol Flags Type St Inode Path
        std::istringstream words(line);
        std::string skip, flags, inode, path;
        words >> skip >> skip >> skip >> flags >> skip >> skip >> inode >> path;
        constexpr auto accepts = "00010000"; // __SO_ACCEPTCON
        if (flags == accepts && inodes.contains(inode))
            found.push_back(path);
    }
    for (const auto* table : {"net/tcp", "net/tcp6"}) {
        std::ifstream sockets(process / table);
        while (std::getline(sockets, line)) { // sl local remote st queues tr retrnsmt uid timeout
            std::istringstream words(line);
            std::string skip, state, inode;
            words >> skip >> skip >> skip >> state;
            for (int i = 0; i < 5; ++i)
                words >> skip;
            words >> inode;
            if (state == "0A" && inodes.contains(inode))
                found.emplace_back("tcp");
        }
    }
    std::sort(found.begin(), found.end());
    return found;
}

/// At this moment.
std::string free_port() {
    const UniqueFd probe(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(probe.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::getsockname(probe.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    return std::to_string(ntohs(address.sin_port));
}

TEST_F(Metrics, NoMetricsUnlessAskedFor) {
    start_daemon();
    EXPECT_EQ(listening(daemon->pid()), std::vector{socket.string()});
    daemon->signal(SIGTERM);
    ASSERT_EQ(daemon->wait(), 0) << daemon->log();
    configure("metrics = \"127.0.0.1:" + free_port() + "\"");
    start_daemon();
    EXPECT_EQ(listening(daemon->pid()), (std::vector<std::string>{socket.string(), "tcp"}));
}

} // namespace
} // namespace kata_vfio::service_test
