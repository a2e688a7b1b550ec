// SPDX-License-Identifier: Apache-2.0
// 500 attaches at once: fair, bounded, and whatever instruction the daemon is killed at, nothing is
// lost and streams go on.
#include "test/service/service_world.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <iostream>
#include <map>
#include <mutex>
#include <set>

namespace kata_vfio::service_test {
namespace {

constexpr std::size_t sandboxes = 20, each = 25; // a root bus takes 27 more

using Clock = std::chrono::steady_clock;
std::int64_t milliseconds(Clock::time_point since) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - since).count();
}

/// The calls of a storm, all on their way at once, and how they end.
class Calls {
  public:
    void attach(Client& client, const std::string& sandbox) {
        Call* call;
        {
            const std::lock_guard lock(mutex_);
            call = &calls_.emplace_back();
            call->began = Clock::now();
        }
        call->request.set_sandbox(sandbox);
        call->request.set_device("mtty-storm");
        client.devices->async()->Attach(
            &call->context, &call->request, &call->response,
            [this, call](const grpc::Status& status) { finish(*call, status); });
    }

    void wait(std::size_t finished) {
        std::unique_lock lock(mutex_);
        ended_.wait(lock, [&] { return finished_ >= finished; });
    }
    std::size_t finished() const {
        const std::lock_guard lock(mutex_);
        return finished_;
    }
    /// In the order of their ends.
    std::vector<std::string> order() const {
        const std::lock_guard lock(mutex_);
        return order_;
    }
    std::map<std::string, int> reasons() const {
        const std::lock_guard lock(mutex_);
        return reasons_;
    }
    /// Of those that succeeded, from the call to its answer: "median 1, 99 % 2, slowest 3 ms".
    std::string times() const {
        const std::lock_guard lock(mutex_);
        auto sorted = took_;
        std::ranges::sort(sorted);
        const auto at = [&](double part) {
            return std::to_string(sorted[static_cast<std::size_t>(part * (sorted.size() - 1.0))]);
        };
        return "median " + at(0.5) + ", 99 % " + at(0.99) + ", slowest " + at(1) + " ms";
    }
    /// What clients have been told they have.
    std::set<std::string> attached() const {
        const std::lock_guard lock(mutex_);
        return attached_;
    }

  private:
    struct Call {
        Clock::time_point began;
        grpc::ClientContext context;
        v1::AttachRequest request;
        v1::AttachResponse response;
    };

    void finish(const Call& call, const grpc::Status& status) {
        const std::lock_guard lock(mutex_);
        ++finished_;
        order_.push_back(call.request.sandbox());
        if (status.ok()) {
            attached_.insert(call.response.attachments(0).uuid());
            took_.push_back(milliseconds(call.began));
        }
        ++reasons_[status.ok()                                            ? "ok"
                   : status.error_code() == grpc::StatusCode::UNAVAILABLE ? "unavailable"
                                                                          : text(status)];
        ended_.notify_all();
    }

    mutable std::mutex mutex_;
    std::condition_variable ended_;
    std::deque<Call> calls_;
    std::size_t finished_ = 0;
    std::vector<std::string> order_;
    std::map<std::string, int> reasons_;
    std::set<std::string> attached_;
    std::vector<std::int64_t> took_;
};

class Storm : public Service {
  protected:
    /// A daemon with 20 sandboxes, a QEMU each, and a parent that has a vGPU for every call.
    void gather() {
        fake::ParentSpec parent;
        parent.name = "mtty_storm";
        parent.pool = sandboxes * each;
        fake::MdevTypeSpec type;
        type.id = "mtty-storm";
        type.name = "Single port serial";
        parent.types = {type};
        root.populate_mdev_parent(parent);
        start_daemon();
        for (std::size_t i = 0; i < sandboxes; ++i) {
            machine = std::make_unique<fake::FakeMachine>();
            ids.push_back("storm" + std::to_string(i));
            open(ids.back());
            machines.push_back(std::move(machine));
        }
    }

    /// One connection each, as of 20 runtimes.
    void begin(Calls& calls) {
        while (clients.size() < sandboxes)
            clients.push_back(std::make_unique<Client>(address()));
        for (std::size_t n = 0; n < each; ++n)
            for (std::size_t i = 0; i < sandboxes; ++i)
                calls.attach(*clients[i], ids[i]);
    }

    std::size_t vgpus() const {
        std::size_t count = 0;
        for (const auto& entry :
             std::filesystem::directory_iterator(root.at("/sys/bus/mdev/devices")))
            count += !entry.path().empty();
        return count;
    }
    std::size_t plugged() const {
        std::size_t count = 0;
        for (const auto& one : machines)
            count += one->devices().size();
        return count;
    }
    std::set<std::string> listed() {
        v1::ListResponse all;
        grpc::ClientContext context;
        EXPECT_TRUE(client->sandboxes->List(&context, {}, &all).ok());
        EXPECT_EQ(all.unreadable_size(), 0);
        std::set<std::string> found;
        for (const auto& sandbox : all.sandboxes())
            for (const auto& attachment : sandbox.attachments())
                found.insert(attachment.uuid());
        return found;
    }
    void release_all() {
        for (const auto& id : ids) {
            v1::ReleaseRequest request;
            request.set_sandbox(id);
            v1::ReleaseResponse response;
            grpc::ClientContext context;
            const auto status = client->sandboxes->Release(&context, request, &response);
            EXPECT_TRUE(status.ok()) << id << ": " << text(status);
        }
        (void)kernel->log();
        EXPECT_EQ(vgpus(), 0u);
        EXPECT_EQ(plugged(), 0u);
    }

    std::vector<std::string> ids;
    std::vector<std::unique_ptr<fake::FakeMachine>> machines;
    std::vector<std::unique_ptr<Client>> clients;
};

TEST_F(Storm, FiveHundredAtOnceAllGetTheirTurn) {
    gather();
    Calls calls;
    const auto began = Clock::now();
    begin(calls);
    calls.wait(1);
    // Who only looks is not behind the queue.
    v1::ListDevicesRequest request;
    request.set_sandbox(ids.back());
    v1::ListDevicesResponse response;
    grpc::ClientContext context;
    EXPECT_TRUE(client->devices->List(&context, request, &response).ok());
    EXPECT_LT(calls.finished(), sandboxes * each);
    calls.wait(sandboxes * each);
    // Figures for docs/benchmarks.md, never judged
    std::cout << "storm: " << sandboxes * each << " attaches in " << milliseconds(began)
              << " ms, each " << calls.times() << '\n';
    EXPECT_EQ(calls.reasons(), (std::map<std::string, int>{{"ok", int(sandboxes * each)}}));
    // Nobody's last is in front of somebody's first: half of all are done, and all have had some.
    auto first_half = calls.order();
    first_half.resize(first_half.size() / 2);
    for (const auto& id : ids)
        EXPECT_GE(std::ranges::count(first_half, id), 3) << id;
    EXPECT_EQ(listed().size(), sandboxes * each);
    EXPECT_EQ(plugged(), sandboxes * each);
    EXPECT_EQ(vgpus(), sandboxes * each);
    release_all();
}

TEST_F(Storm, KilledInTheMiddleNothingIsLostAndStreamsGoOn) {
    gather();
    v1::WatchRequest request;
    grpc::ClientContext watching;
    auto stream = client->sandboxes->Watch(&watching, request);
    v1::WatchResponse response;
    ASSERT_TRUE(stream->Read(&response));
    const auto seen = response.snapshot().revision();
    Calls calls;
    begin(calls);
    calls.wait(60);
    daemon->signal(SIGKILL);
    EXPECT_EQ(daemon->wait(), -SIGKILL);
    calls.wait(sandboxes * each);
    auto reasons = calls.reasons();
    EXPECT_GE(reasons["ok"], 60);
    EXPECT_GT(reasons["unavailable"], 0) << "the storm was over before the kill";
    EXPECT_EQ(reasons["ok"] + reasons["unavailable"], int(sandboxes * each));
    clients.clear();

    const auto restarted = Clock::now();
    start_daemon(); // reconciles before it serves
    const auto serving_after = milliseconds(restarted);
    (void)kernel->log();
    const auto there = listed();
    const auto told = calls.attached();
    std::cout << "storm: killed with " << told.size() << " told, " << there.size()
              << " there; serving again after " << serving_after << " ms\n";
    for (const auto& uuid : told)
        EXPECT_TRUE(there.contains(uuid)) << uuid << " was told to be attached, and is not listed";
    // Of the calls that nobody was told the end of, each is there as a whole or not at all.
    EXPECT_EQ(plugged(), there.size());
    EXPECT_EQ(vgpus(), there.size());
    EXPECT_LE(there.size(), told.size() + sandboxes * 2);

    // From where the stream broke: what was told, then the new daemon's first word.
    request.set_after_revision(seen);
    grpc::ClientContext again;
    stream = client->sandboxes->Watch(&again, request);
    std::set<std::string> streamed;
    std::uint64_t last = seen;
    for (;;) {
        ASSERT_TRUE(stream->Read(&response));
        ASSERT_TRUE(response.has_event()) << "a snapshot instead of the rest of the stream";
        EXPECT_GT(response.event().revision(), last);
        last = response.event().revision();
        if (response.event().kind() == v1::Event::KIND_DEVICE_ATTACHED)
            for (const auto& attachment : response.event().attachments())
                streamed.insert(attachment.uuid());
        if (response.event().kind() == v1::Event::KIND_DAEMON_STARTED)
            break;
    }
    EXPECT_EQ(response.event().reconciled().sandboxes_size(), int(sandboxes));
    for (const auto& uuid : told)
        EXPECT_TRUE(streamed.contains(uuid)) << uuid << " was told to a client, not to the stream";
    again.TryCancel();
    (void)stream->Finish();
    release_all();
}

} // namespace
} // namespace kata_vfio::service_test
