// SPDX-License-Identifier: Apache-2.0
#include "config/base/failure.hpp"
#include "qemu/qmp/proxy/proxy.hpp"
#include "test/fixtures/fake_qmp/fake_qmp.hpp"
#include "test/fixtures/fake_qmp/proxy_host.hpp"
#include "test/fixtures/fake_qmp/raw_client.hpp"
#include "test/fixtures/fake_qmp/run.hpp"

#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace kata_vfio;
using namespace kata_vfio::qemu;
using fake::FakeQmp;
using fake::ProxyHost;
using fake::RawClient;
namespace fs = std::filesystem;

namespace {

class ProxyTest : public testing::Test {
  protected:
    ProxyTest() {
        const char* base = std::getenv("TMPDIR");
        directory_ = std::string(base && *base ? base : "/tmp") + "/kv-proxy.XXXXXX";
        if (!::mkdtemp(directory_.data()))
            throw std::runtime_error(directory_);
    }
    ~ProxyTest() override { fs::remove_all(directory_); }

    std::string path(const std::string& name = "qmp.sock") const { return directory_ + "/" + name; }

    std::string directory_;
};

using ProxySocket = ProxyTest;

Failure refusal(const std::string& path) {
    try {
        const UnixListener listener(path);
    } catch (const Failure& failure) {
        return failure;
    }
    throw std::logic_error("expected a failure, but there was none");
}

const std::string time_of_fake = R"({"timestamp": {"seconds": )";

} // namespace

TEST_F(ProxySocket, IsOursAloneAndGoesWithItsOwner) {
    {
        const UnixListener listener(path());
        struct stat name {};
        ASSERT_EQ(::stat(path().c_str(), &name), 0);
        EXPECT_EQ(name.st_mode & 07777, 0600u);
        EXPECT_TRUE(S_ISSOCK(name.st_mode));
    }
    EXPECT_FALSE(fs::exists(path()));
}

TEST_F(ProxySocket, OneLeftByADeadProcessIsReplaced) {
    { // its descriptor goes, its name stays
        UnixListener dead(path("first"));
        fs::rename(path("first"), path());
    }
    ASSERT_TRUE(fs::exists(path()));
    const UnixListener listener(path());
    const RawClient client(path());
}

TEST_F(ProxySocket, ALiveOneIsRefusedWithItsProcess) {
    const UnixListener listener(path());
    const auto failure = refusal(path());
    EXPECT_EQ(failure.code(), Errc::device_in_use);
    EXPECT_EQ(failure.problem(), "the socket " + path() + " is in use");
    EXPECT_EQ(failure.blocker(), "pid " + std::to_string(::getpid()) + ", which listens on it");
    const RawClient client(path()); // and is left alone
}

TEST_F(ProxySocket, AnotherFileIsLeftAlone) {
    std::ofstream(path()) << "mine";
    EXPECT_EQ(refusal(path()).verbatim(), "the file that is there is no socket");
    EXPECT_EQ(fs::file_size(path()), 4u);
}

TEST_F(ProxySocket, TheNameOfASuccessorIsNotRemoved) {
    {
        const UnixListener listener(path());
        fs::remove(path());
        std::ofstream(path()) << "successor";
    }
    EXPECT_TRUE(fs::exists(path()));
}

TEST_F(ProxySocket, ATooLongPathIsRefused) {
    const auto failure = refusal(path(std::string(120, 'x')));
    EXPECT_EQ(failure.code(), Errc::invalid_argument);
    EXPECT_NE(std::string(failure.what()).find("its path must have 1 to 107 bytes"),
              std::string::npos)
        << failure.what();
}

TEST_F(ProxyTest, RepliesAndEventsOfOnePacketKeepTheirOrder) {
    FakeQmp peer(fake::Delivery::coalesced);
    peer.greeting().capabilities();
    peer.expect("query-a").event("BEFORE").reply(7).event("AFTER").event("LATER");
    peer.expect("query-b").reply(8);
    peer.start();
    {
        ProxyHost host(peer.path(), path(), ProxyMode::read_only);
        RawClient client(path());
        client.negotiate();
        client.send("{'execute':'query-a','id':'x'}");
        EXPECT_NE(client.line().find("\"event\": \"BEFORE\""), std::string::npos);
        EXPECT_EQ(client.line(), "{\"return\": 7, \"id\": \"x\"}\r\n");
        EXPECT_NE(client.line().find("\"event\": \"AFTER\""), std::string::npos);
        const auto later = client.line();
        EXPECT_TRUE(later.starts_with(time_of_fake)) << later;
        EXPECT_EQ(client.ask("{'execute':'query-b'}"), "{\"return\": 8}\r\n");
    }
    EXPECT_EQ(peer.finish(), std::vector<std::string>{});
}

TEST_F(ProxyTest, ErrorsKeepTheirClass) {
    FakeQmp peer;
    peer.greeting().capabilities();
    peer.expect("query-a").error("DeviceNotFound", "Device 'zz' not found");
    peer.start();
    {
        ProxyHost host(peer.path(), path(), ProxyMode::read_only);
        EXPECT_EQ(RawClient(path()).negotiate().ask("{'execute':'query-a','id':1}"),
                  "{\"id\": 1, \"error\": {\"class\": \"DeviceNotFound\", \"desc\": \"Device 'zz' "
                  "not found\"}}\r\n");
    }
    EXPECT_EQ(peer.finish(), std::vector<std::string>{});
}

TEST_F(ProxyTest, TheSeventeenthIsToldAndAPlaceThatGetsFreeIsTaken) {
    FakeQmp peer;
    peer.greeting().capabilities();
    peer.start();
    {
        ProxyHost host(peer.path(), path(), ProxyMode::read_only);
        std::vector<RawClient> clients;
        for (int i = 0; i < 16; ++i)
            clients.emplace_back(path()).negotiate();
        EXPECT_EQ(RawClient(path()).until_eof(),
                  "{\"error\": {\"class\": \"GenericError\", \"desc\": \"the proxy serves 16 "
                  "clients at most, and has them\"}}\r\n");
        clients.pop_back();
        while (host.clients() == 16)
            std::this_thread::yield();
        RawClient(path()).negotiate();
    }
    EXPECT_EQ(peer.finish(), std::vector<std::string>{});
}

TEST_F(ProxyTest, OneThatDoesNotReadIsCutAndTheOthersAreNot) {
    FakeQmp peer;
    peer.greeting().capabilities();
    const std::size_t each = 100000, times = 40;
    for (std::size_t i = 0; i < times; ++i)
        peer.expect("query-a").event("BIG", {{"text", std::string(each, 'x')}}).reply();
    peer.start();
    ProxyLimits limits;
    limits.max_unsent = 2 * each;
    {
        ProxyHost host(peer.path(), path(), ProxyMode::read_only, limits);
        RawClient reader(path()), asleep(path());
        asleep.negotiate();
        reader.negotiate();
        for (std::size_t i = 0; i < times; ++i) { // in step: it never has much unread
            reader.send("{'execute':'query-a'}");
            EXPECT_GT(reader.line().size(), each);
            EXPECT_EQ(reader.line(), "{\"return\": {}}\r\n");
        }
        EXPECT_EQ(host.clients(), 1u);
        const auto seen = asleep.until_eof().size();
        EXPECT_GT(seen, each) << "what was sent before stays good";
        EXPECT_LT(seen, times * each);
    }
    EXPECT_EQ(peer.finish(), std::vector<std::string>{});
}

TEST_F(ProxyTest, TheAnswerForAClientThatDiedIsDropped) {
    FakeQmp peer;
    std::promise<void> gone;
    peer.greeting().capabilities();
    peer.expect("query-a").call([&] { gone.get_future().get(); }).reply(1);
    peer.expect("query-b").reply(2);
    peer.start();
    {
        ProxyHost host(peer.path(), path(), ProxyMode::read_only);
        {
            RawClient client(path());
            client.negotiate().send("{'execute':'query-a'}{'execute':'query-never'}");
            while (host.clients() == 0)
                std::this_thread::yield();
        }
        while (host.clients() != 0)
            std::this_thread::yield();
        gone.set_value();
        EXPECT_EQ(RawClient(path()).negotiate().ask("{'execute':'query-b'}"),
                  "{\"return\": 2}\r\n");
    }
    EXPECT_EQ(peer.finish(), std::vector<std::string>{});
}

TEST_F(ProxyTest, AHalfClosedClientGetsItsAnswersThenEof) {
    FakeQmp peer;
    peer.greeting().capabilities();
    peer.expect("query-a").reply(1).expect("query-b").reply(2);
    peer.start();
    {
        ProxyHost host(peer.path(), path(), ProxyMode::read_only);
        RawClient client(path());
        client.negotiate().send("{'execute':'query-a'}{'execute':'query-b'}");
        client.shut_down_writing();
        EXPECT_EQ(client.until_eof(), "{\"return\": 1}\r\n{\"return\": 2}\r\n");
    }
    EXPECT_EQ(peer.finish(), std::vector<std::string>{});
}

TEST_F(ProxyTest, QemusEndIsEofAndANewSessionTakesItsPlace) {
    FakeQmp peer;
    peer.greeting().capabilities();
    peer.expect("query-a").event("SHUTDOWN").close();
    peer.accept().greeting().capabilities().expect("query-b").reply(2);
    peer.start();
    {
        ProxyHost host(peer.path(), path(), ProxyMode::read_only);
        RawClient client(path()), idle(path());
        idle.negotiate();
        client.negotiate().send("{'execute':'query-a'}");
        const auto last = client.until_eof();
        EXPECT_NE(last.find("SHUTDOWN"), std::string::npos);
        EXPECT_EQ(last.find("error"), std::string::npos) << last;
        EXPECT_NE(idle.until_eof().find("SHUTDOWN"), std::string::npos);

        RawClient early(path());
        EXPECT_EQ(early.negotiate().ask("{'execute':'query-b','id':1}"),
                  "{\"id\": 1, \"error\": {\"class\": \"GenericError\", \"desc\": \"QMP backend is "
                  "not connected\"}}\r\n");
        host.reconnect(peer.path());
        EXPECT_EQ(early.ask("{'execute':'query-b'}"), "{\"return\": 2}\r\n");
    }
    EXPECT_EQ(peer.finish(), std::vector<std::string>{});
}

TEST_F(ProxyTest, UnsafeTellsWhatPassed) {
    FakeQmp peer;
    peer.greeting().capabilities();
    peer.expect("query-a").reply();
    peer.expect("device_add", {{"id", "d0"}}).reply();
    peer.expect("device_del", {{"id", "d1"}}).error("DeviceNotFound", "Device 'd1' not found");
    peer.start();
    {
        ProxyHost host(peer.path(), path(), ProxyMode::unsafe);
        RawClient client(path());
        client.negotiate();
        client.ask("{'execute':'query-a'}");
        EXPECT_EQ(host.tainted(), std::vector<std::string>{});
        client.ask("{'execute':'device_add','arguments':{'driver':'x','id':'d0'}}");
        client.ask("{'execute':'device_del','arguments':{'id':'d1'}}");
        EXPECT_EQ(host.tainted(), (std::vector<std::string>{"device_add", "device_del"}));
        EXPECT_EQ(host.devices(), std::vector<std::string>{"device_add d0"});
    }
    EXPECT_EQ(peer.finish(), std::vector<std::string>{});
}

// Whatever a client sends them with, and whether or not the proxy reads them at all.
TEST_F(ProxyTest, DescriptorsThatAreNotUsedAreClosed) {
    for (const auto mode : {ProxyMode::read_only, ProxyMode::unsafe}) {
        FakeQmp peer;
        peer.greeting().capabilities().expect("query-a").reply(1);
        peer.start();
        {
            ProxyHost host(peer.path(), path(), mode);
            RawClient client(path());
            client.negotiate();
            int ends[2];
            ASSERT_EQ(::pipe(ends), 0);
            UniqueFd in(ends[0]), out(ends[1]);
            client.send("{'execute':'query-a'}", out.get(), 5);
            EXPECT_EQ(client.line(), "{\"return\": 1}\r\n");
            client.send("{] ", out.get()); // complained about
            EXPECT_NE(client.line().find("JSON parse error"), std::string::npos);
            client.send("{'execute':", out.get()); // replaced by the next
            client.send("'no-such-command', 'x': 1}", out.get(), 253);
            EXPECT_NE(client.line().find("is unexpected"), std::string::npos);
            client.send("{'exec", out.get()); // never complete
            client.shut_down_writing();
            EXPECT_EQ(client.until_eof(), "");
            out.reset();
            char byte;
            EXPECT_EQ(::read(in.get(), &byte, 1), 0) << "somebody still holds the pipe's other end";
        }
        EXPECT_EQ(peer.finish(), std::vector<std::string>{});
    }
}

TEST_F(ProxyTest, ReadOnlyRefusesDescriptorsInQemusWords) {
    FakeQmp peer;
    peer.greeting().capabilities().expect_hangup().start();
    {
        ProxyHost host(peer.path(), path(), ProxyMode::read_only);
        RawClient client(path());
        client.negotiate();
        for (const std::string name : {"getfd", "add-fd"}) {
            client.send("{'execute':'" + name + "'}", client.fd());
            EXPECT_EQ(client.line(),
                      "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"Command " + name +
                          " has been disabled: the proxy is read-only; [vfio] qmp_proxy = "
                          "\\\"unsafe\\\" lets it pass\"}}\r\n");
        }
    }
    EXPECT_EQ(peer.finish(), std::vector<std::string>{});
}
