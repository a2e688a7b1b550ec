// SPDX-License-Identifier: Apache-2.0
// The sandbox's QMP proxy: when there is one, and what it leaves on record.
#include "test/abi/world.hpp"
#include "test/fixtures/fake_qmp/raw_client.hpp"

#include <boost/json/serialize.hpp>
#include <gmock/gmock.h>

#include <thread>

namespace kata_vfio::abi_test {
namespace {

using ::testing::HasSubstr;

class QmpProxy : public World {
  protected:
    void open(std::string_view setting) {
        configure(configuration(setting));
        start_with_sandbox();
    }
    std::string socket() const {
        return (root.path() / "run/kata-vfio/sandboxes/sb1/qmp.sock").string();
    }
};

TEST_F(QmpProxy, IsNotThereUnlessAskedFor) {
    start_with_sandbox();
    EXPECT_FALSE(std::filesystem::exists(socket()));
}

TEST_F(QmpProxy, ReadOnlyAnswersWhatLooksAndLeavesNoTrace) {
    open("qmp_proxy = \"read-only\"\n");
    {
        fake::RawClient client(socket());
        client.negotiate();
        EXPECT_THAT(client.ask("{'execute':'query-status'}"), HasSubstr("\"running\""));
        EXPECT_THAT(client.ask("{'execute':'device_del','arguments':{'id':'x'}}"),
                    HasSubstr("Command device_del has been disabled: "));
        // Our own work goes on beside it, and the client sees what comes of it.
        ASSERT_TRUE(host->attach(sandbox, type8, uuid_a).ok());
        ASSERT_TRUE(host->detach(sandbox, uuid_a).ok());
        EXPECT_THAT(client.until("DEVICE_DELETED"), HasSubstr("DEVICE_DELETED"));
    }
    const auto listed = host->list("sb1");
    EXPECT_TRUE(listed.json.at("sandboxes").at(0).at("tainted").as_array().empty());
    host->close(sandbox);
    EXPECT_FALSE(std::filesystem::exists(socket()));
}

TEST_F(QmpProxy, UnsafeTaintsForGood) {
    open("qmp_proxy = \"unsafe\"\n");
    {
        fake::RawClient client(socket());
        client.negotiate();
        client.ask("{'execute':'cont'}");
        client.ask("{'execute':'cont'}");
        client.ask("{'execute':'device_del','arguments':{'id':'x'}}");
    }
    const auto tainted = [&] {
        return boost::json::serialize(host->list("sb1").json.at("sandboxes").at(0).at("tainted"));
    };
    const std::string both = R"(["cont","device_del"])";
    // The record is written behind the answer.
    for (const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
         tainted() != both && std::chrono::steady_clock::now() < end;)
        std::this_thread::yield();
    EXPECT_EQ(tainted(), both);
    EXPECT_THAT(host->log(), testing::Contains(HasSubstr("sandbox sb1 is tainted")));
    restart(configuration());
    EXPECT_EQ(tainted(), both);
    EXPECT_FALSE(std::filesystem::exists(socket()));
}

TEST_F(QmpProxy, ASocketThatCantBeMadeStopsNothing) {
    const auto directory = root.path() / "run/kata-vfio/sandboxes/sb1";
    std::filesystem::create_directories(directory);
    root.write("run/kata-vfio/sandboxes/sb1/qmp.sock", "no socket");
    open("qmp_proxy = \"unsafe\"\n");
    EXPECT_THAT(host->log(), testing::Contains(
                                 HasSubstr("sandbox sb1 has no QMP proxy: can't make the socket")));
    EXPECT_TRUE(host->attach(sandbox, type8, uuid_a).ok());
}

TEST_F(QmpProxy, ReleaseEndsItsClients) {
    open("qmp_proxy = \"read-only\"\n");
    fake::RawClient client(socket());
    client.negotiate();
    ASSERT_TRUE(host->release("sb1").ok());
    EXPECT_EQ(client.until_eof(), "");
}

} // namespace
} // namespace kata_vfio::abi_test
