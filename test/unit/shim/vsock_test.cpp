// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/vm/vsock.hpp"

#include "config/base/failure.hpp"
#include "test/unit/plugin/temp_dir.hpp"

#include <gmock/gmock.h>
#include <sys/socket.h>
// It needs the one above.
#include <linux/vm_sockets.h>

#include <cerrno>
#include <set>
#include <vector>

namespace kata_vfio::shim {
namespace {
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::uint32_t last_cid = 0xfffffffe;

TEST(VsockCid, IsTheNextThatIsFree) {
    std::vector<std::uint32_t> tried;
    const std::set<std::uint32_t> taken{last_cid - 1, last_cid, 3};
    const auto take = [&](std::uint32_t cid) {
        tried.push_back(cid);
        return taken.contains(cid) ? EADDRINUSE : 0;
    };
    EXPECT_EQ(allot_cid(last_cid - 1, take), 4u);
    EXPECT_THAT(tried, ElementsAre(last_cid - 1, last_cid, 3u, 4u));
    EXPECT_EQ(allot_cid(7, take), 7u);
}

TEST(VsockCid, IsNeverTheHosts) {
    for (const std::uint32_t from : {0u, 1u, 2u, 0xffffffffu})
        EXPECT_EQ(allot_cid(from, [](std::uint32_t) { return 0; }), 3u) << from;
}

TEST(VsockCid, AnotherRefusalIsTold) {
    int asked = 0;
    try {
        allot_cid(42, [&](std::uint32_t) {
            ++asked;
            return EPERM;
        });
        FAIL() << "nothing was thrown";
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.sys_errno(), EPERM);
        EXPECT_THAT(failure.what(), HasSubstr("42"));
    }
    EXPECT_EQ(asked, 1);
    EXPECT_THROW(allot_cid(3, [](std::uint32_t) { return EADDRINUSE; }), Failure) << "it ends";
}

TEST(VsockPeer, IsTheGuestAlone) {
    sockaddr_storage peer{};
    auto& address = reinterpret_cast<sockaddr_vm&>(peer);
    address.svm_family = AF_VSOCK;
    address.svm_cid = 42;
    EXPECT_TRUE(comes_from(42, peer));
    for (const std::uint32_t other : {1u, 2u, 43u}) // a process of the host; another guest
        EXPECT_FALSE(comes_from(other, peer)) << other;
    address.svm_family = AF_UNIX;
    EXPECT_FALSE(comes_from(42, peer));
}

TEST(VsockHost, WithoutItIsTold) {
    const plugin::TempDir host;
    boost::asio::io_context io;
    try {
        const Vsock vsock(io, vfio::HostRoot(host.path()));
        FAIL() << "nothing was thrown";
    } catch (const Failure& failure) {
        EXPECT_THAT(failure.what(), HasSubstr("/dev/vhost-vsock"));
    }
    // A node that is something else.
    std::filesystem::create_directories(host.path() / "dev");
    host.write("dev/vhost-vsock", "");
    EXPECT_THROW(Vsock(io, vfio::HostRoot(host.path())), Failure);
}

} // namespace
} // namespace kata_vfio::shim
