// SPDX-License-Identifier: Apache-2.0
// What a daemon that is told to end does with those who are there, and with those who still come.
#include "test/fixtures/fake_qmp/raw_client.hpp"
#include "test/service/service_world.hpp"

#include <signal.h>

#include <fstream>
#include <future>

namespace kata_vfio::service_test {
namespace {

class Ending : public Service {
  protected:
    Ending() {
        metrics = (directory / "m.sock").string();
        configure("metrics = \"unix:" + metrics + "\"");
    }
    std::string scraped() const {
        fake::RawClient scraper(metrics);
        scraper.send("GET /metrics HTTP/1.0\r\n\r\n");
        return scraper.until_eof();
    }
    std::string metrics;
};

/// The plugin is let go at the end, which a scrape and a Watch's snapshot ask.
TEST_F(Ending, NeitherAScrapeThatIsKeptAliveNorANewWatchOutlivesThePlugin) {
    start_with_sandbox();
    fake::RawClient scraper(metrics);
    const std::string request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    scraper.send(request);
    EXPECT_EQ(scraper.line(), "HTTP/1.1 200 OK\r\n");
    (void)scraper.until("kata_vfio_watchers 0"); // of what is written in one piece
    machine->block_on("device_add");
    auto attaching = std::async(std::launch::async, [&] { return attach(type8, uuid_a); });
    machine->wait_blocked();
    daemon->signal(SIGTERM);
    daemon->wait_notified("STOPPING=1");
    const auto asked = std::chrono::steady_clock::now();
    try {
        scraper.send(request);
    } catch (const std::system_error&) { // it is closed already
    }
    EXPECT_EQ(scraper.until_eof().find("HTTP/1.1"), std::string::npos) << "a second answer";
    EXPECT_LT(std::chrono::steady_clock::now() - asked, std::chrono::seconds(5));
    v1::TraceRequest trace;
    trace.set_sandbox("sb1");
    v1::EventsRequest events;
    events.set_sandbox("sb1");
    grpc::ClientContext first, second, third;
    v1::WatchResponse response;
    const auto watching = client->sandboxes->Watch(&first, {});
    EXPECT_FALSE(watching->Read(&response)) << response.ShortDebugString();
    EXPECT_EQ(reason(watching->Finish()), "draining");
    v1::EventsResponse event;
    const auto listening = client->qmp->Events(&second, events);
    EXPECT_FALSE(listening->Read(&event));
    EXPECT_EQ(reason(listening->Finish()), "draining");
    v1::TraceRecord record;
    const auto tracing = client->qmp->Trace(&third, trace);
    EXPECT_FALSE(tracing->Read(&record));
    EXPECT_EQ(reason(tracing->Finish()), "draining");
    machine->unblock();
    const auto status = attaching.get();
    EXPECT_TRUE(status.ok()) << text(status);
    EXPECT_EQ(daemon->wait(), 0) << daemon->log();
}

TEST_F(Ending, DuringTheReconcileItBeginsWith) {
    start_with_sandbox();
    daemon->signal(SIGTERM);
    ASSERT_EQ(daemon->wait(), 0) << daemon->log();
    machine->block_on("query-status");
    auto starting = std::async(std::launch::async, [&] { daemon->start(args()); });
    machine->wait_blocked();
    daemon->signal(SIGTERM);
    daemon->wait_log("ending: what is attached stays");
    machine->unblock();
    try {
        starting.get();
        ADD_FAILURE() << "it serves";
    } catch (const std::runtime_error& error) {
        EXPECT_NE(std::string(error.what()).find("ended with 0"), std::string::npos)
            << error.what();
    }
    EXPECT_FALSE(std::filesystem::exists(metrics));
}

/// The alert is about what the first scrape finds.
TEST_F(Ending, TheNextDaemonsFirstScrapeTellsWhatItCouldNotPutRight) {
    start_with_sandbox();
    const auto verdicts = [](int kept, int quarantined) {
        std::vector<std::string> lines;
        for (const auto* metric :
             {"kata_vfio_reconcile_sandboxes_total", "kata_vfio_reconcile_last_sandboxes"})
            for (const auto& [verdict, number] :
                 std::vector<std::pair<std::string, int>>{{"busy", 0},
                                                          {"failed", 0},
                                                          {"given_back", 0},
                                                          {"kept", kept},
                                                          {"pending", 0},
                                                          {"quarantined", quarantined},
                                                          {"recovered", 0}})
                lines.push_back(std::string(metric) + "{verdict=\"" + verdict + "\"} " +
                                std::to_string(number) + "\n");
        return lines;
    };
    for (const auto& line : verdicts(0, 0))
        EXPECT_NE(scraped().find(line), std::string::npos) << line << scraped();
    daemon->signal(SIGTERM);
    ASSERT_EQ(daemon->wait(), 0) << daemon->log();
    std::ofstream(root.path() / "run/kata-vfio/sandboxes/sb1/state.json") << "{\"torn";
    start_daemon();
    for (const auto& line : verdicts(0, 1))
        EXPECT_NE(scraped().find(line), std::string::npos) << line << scraped();
    // One of all sandboxes that finds them well.
    v1::ReconcileResponse report;
    grpc::ClientContext context;
    ASSERT_TRUE(client->host->Reconcile(&context, {}, &report).ok());
    EXPECT_NE(scraped().find("kata_vfio_reconcile_last_sandboxes{verdict=\"quarantined\"} 0\n"),
              std::string::npos);
}

} // namespace
} // namespace kata_vfio::service_test
