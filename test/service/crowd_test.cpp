// SPDX-License-Identifier: Apache-2.0
// More of a client than there is room for: typed where it can be, bounded always, and others are
// served.
#include "config/base/unique_fd.hpp"
#include "test/places/places.hpp"
#include "test/service/service_world.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <list>

namespace kata_vfio::service_test {
namespace {

using Crowd = Service;

struct Watching {
    explicit Watching(Client& client, const v1::WatchRequest& request = {})
        : stream(client.sandboxes->Watch(&context, request)) {}
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<v1::WatchResponse>> stream;
    v1::WatchResponse response;
};

/// To a unix socket; a read waits for a minute at most.
UniqueFd connected(const std::string& path) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    path.copy(name.sun_path, sizeof name.sun_path - 1);
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const timeval patience{60, 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0)
        fd.reset();
    return fd;
}

TEST_F(Crowd, StreamsHaveAnEnd) {
    start_daemon();
    Client crowd(address());
    std::list<Watching> all;
    for (int i = 0; i < 1024; ++i) {
        all.emplace_back(crowd);
        ASSERT_TRUE(all.back().stream->Read(&all.back().response)) << i;
    }
    Watching one_more(crowd);
    EXPECT_FALSE(one_more.stream->Read(&one_more.response));
    const auto status = one_more.stream->Finish();
    EXPECT_EQ(status.error_code(), grpc::RESOURCE_EXHAUSTED);
    EXPECT_EQ(reason(status), "too_many_calls") << text(status);
    open(); // other calls are served
    for (auto& each : all)
        each.context.TryCancel();
}

TEST_F(Crowd, TheNamesOfAWatch) {
    start_daemon();
    const auto refused = [&](const v1::WatchRequest& request) {
        Watching watching(*client, request);
        EXPECT_FALSE(watching.stream->Read(&watching.response));
        return reason(watching.stream->Finish());
    };
    v1::WatchRequest request;
    request.add_sandboxes("../etc");
    EXPECT_EQ(refused(request), "malformed_sandbox_id");
    request.clear_sandboxes();
    for (int i = 0; i < 4097; ++i)
        request.add_sandboxes("a");
    EXPECT_EQ(refused(request), "invalid_argument");
    request.mutable_sandboxes()->RemoveLast();
    Watching watching(*client, request);
    EXPECT_TRUE(watching.stream->Read(&watching.response));
    watching.context.TryCancel();
}

/// Who is let in, and never says what HTTP/2 begins with, holds a descriptor for 10 s and no more.
TEST_F(Crowd, WhoNeverSaysAnythingIsLetGo) {
    start_daemon();
    std::list<UniqueFd> all;
    for (int i = 0; i < 100; ++i) {
        const auto& fd = all.emplace_back(connected(socket.string()));
        ASSERT_TRUE(fd);
        const std::string half = i % 2 == 1 ? "PRI * HTTP/2.0\r\n" : ""; // of the preface
        ASSERT_EQ(::write(fd.get(), half.data(), half.size()), static_cast<ssize_t>(half.size()));
    }
    open(); // others are served
    for (const auto& fd : all) {
        char bytes[256];
        ssize_t got = 0;
        while ((got = ::read(fd.get(), bytes, sizeof bytes)) > 0) {
        }
        EXPECT_EQ(got, 0) << "not closed within a minute";
    }
}

/// In KiB, the most that the process has had.
long most_memory(pid_t pid) {
    std::ifstream status("/proc/" + std::to_string(pid) + "/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("VmHWM:"))
            return std::atol(line.c_str() + 6);
    return -1;
}

/// Of messages that are on their way gRPC keeps what has come: of all together no more than its
/// quota, whatever the number of calls would let in.
TEST_F(Crowd, MessagesThatNeverEndHaveNoMoreThanTheirRoom) {
    start_daemon();
    const auto before = most_memory(daemon->pid());
    FILE* stalling = ::popen((std::string(test::source_dir) + "/test/service/stalling_client.py " +
                              socket.string() + " 40 16000000")
                                 .c_str(),
                             "r");
    long taken = 0, over = 0;
    ASSERT_EQ(std::fscanf(stalling, "%ld %ld", &taken, &over), 2);
    ::pclose(stalling);
    EXPECT_GT(taken, 100 << 20) << "there is room for much";
    EXPECT_GT(over, 0);
    EXPECT_LT(most_memory(daemon->pid()) - before, 300 << 10) << "of " << taken << " bytes";
    open(); // others are served
}

/// Users that are not let in: each connection holds a descriptor until it has been told so.
TEST_F(Crowd, WhoIsNotLetInHasNotAllDescriptors) {
    configure("allowed_uids = [\"4242\"]");
    start_daemon();
    std::list<UniqueFd> all;
    int told = 0, closed = 0;
    for (int i = 0; i < 80; ++i) {
        const auto& fd = all.emplace_back(connected(socket.string()));
        ASSERT_TRUE(fd);
        char byte = 0; // HTTP/2 begins with the server's SETTINGS
        const auto got = ::read(fd.get(), &byte, 1);
        ASSERT_GE(got, 0) << i;
        ++(got > 0 ? told : closed);
    }
    EXPECT_LE(told, 64);
    EXPECT_GE(told, 40) << "a few at a time are told why";
    EXPECT_GE(closed, 16);
}

} // namespace
} // namespace kata_vfio::service_test
