// SPDX-License-Identifier: Apache-2.0
// Descriptors handed to QEMU along with a command.
#include "test/fixtures/fake_qmp/proxy_host.hpp"
#include "test/fixtures/fake_qmp/raw_client.hpp"

#include <fcntl.h>
#include <poll.h>

#include "prelude.hpp"

namespace {

class QemuDescriptor : public OnQemu {
  protected:
    QemuDescriptor() {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0)
            throw std::runtime_error("no pipe");
        reading_ = UniqueFd(ends[0]);
        writing_ = UniqueFd(ends[1]);
    }
    /// Nobody has the writing end any more: not we, not QEMU.
    bool all_closed(int timeout_ms) const {
        pollfd state{reading_.get(), POLLIN, 0};
        return ::poll(&state, 1, timeout_ms) == 1 && (state.revents & POLLHUP) != 0;
    }

    UniqueFd reading_, writing_;
};

} // namespace

TEST_F(QemuDescriptor, GetfdGivesItAndClosefdTakesIt) {
    QemuProcess qemu;
    run([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(qemu.monitor(), patient());
        auto give = getfd(std::move(writing_), "pipe");
        co_await session->execute(std::move(give));
        EXPECT_FALSE(all_closed(0)) << "QEMU does not have it";
        auto close = Command("closefd", {{"fdname", "pipe"}});
        co_await session->execute(std::move(close));
        EXPECT_TRUE(all_closed(60000)) << "we have kept it";
    });
}

// Sent at once, between other commands: each takes its own.
TEST_F(QemuDescriptor, SeveralInARow) {
    QemuProcess qemu;
    run([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(qemu.monitor(), patient());
        std::vector<Submitted> adding;
        for (int n = 0; n < 5; ++n) {
            adding.push_back(session->submit(query_status()));
            UniqueFd copy(::fcntl(writing_.get(), F_DUPFD_CLOEXEC, 0));
            adding.push_back(session->submit(add_fd(std::move(copy), n)));
        }
        for (auto& one : adding)
            (void)co_await session->finish(std::move(one));
        auto query = Command("query-fdsets");
        const auto sets = co_await session->execute(std::move(query));
        EXPECT_EQ(sets.as_array().size(), 5u);
    });
    writing_.reset();
    qemu.kill();
    EXPECT_TRUE(all_closed(60000));
}

TEST_F(QemuDescriptor, NoneCostsItsCommandOnly) {
    QemuProcess qemu;
    run([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(qemu.monitor(), patient());
        auto bad = getfd(UniqueFd(), "pipe");
        try {
            co_await session->execute(bad);
            ADD_FAILURE();
        } catch (const Failure& failure) {
            EXPECT_STREQ(failure.what(), "getfd was given no open descriptor");
        }
        auto next = query_status();
        (void)co_await session->execute(std::move(next));
    });
}

// Pipelined with commands that have none, and with one that asks for one and has none: each takes
// its own, as on QEMU's monitor.
TEST_F(QemuDescriptor, ThroughTheProxy) {
    QemuProcess qemu;
    {
        fake::ProxyHost host(qemu.monitor(), qemu.directory() + "/proxy.sock", ProxyMode::unsafe);
        fake::RawClient client(qemu.directory() + "/proxy.sock");
        client.negotiate();
        const std::string none = R"({"execute":"getfd","arguments":{"fdname":"none"},"id":1})";
        const std::string pipe = R"({"execute":"getfd","arguments":{"fdname":"pipe"},"id":2})";
        client.send(none);
        client.send(pipe, writing_.get());
        writing_.reset();
        EXPECT_EQ(client.line(), "{\"id\": 1, \"error\": {\"class\": \"GenericError\", \"desc\": "
                                 "\"No file descriptor supplied via SCM_RIGHTS\"}}\r\n");
        EXPECT_EQ(client.line(), "{\"return\": {}, \"id\": 2}\r\n");
        EXPECT_FALSE(all_closed(0)) << "QEMU does not have it";
        EXPECT_EQ(host.tainted(), (std::vector<std::string>{"getfd", "getfd"}));
        EXPECT_EQ(client.ask(R"({"execute":"closefd","arguments":{"fdname":"pipe"}})"),
                  "{\"return\": {}}\r\n");
        EXPECT_TRUE(all_closed(60000)) << "we have kept it";
    }
}
