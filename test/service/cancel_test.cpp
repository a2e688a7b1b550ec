// SPDX-License-Identifier: Apache-2.0
// Ctrl-C of a command with --daemon at the moments that only a daemon made for it has.
#include "test/service/cli_world.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <fstream>
#include <mutex>

namespace kata_vfio::service_test {
namespace {

/// Serves `attach` alone. Its Watch begins when it is told to; its Cancel knows the call from the
/// second time on, and then the call ends.
class SlowDaemon {
  public:
    SlowDaemon(const std::string& address, bool begins) {
        sandboxes_.begins = begins;
        grpc::ServerBuilder builder;
        builder.AddListeningPort(address, grpc::InsecureServerCredentials());
        builder.RegisterService(&sandboxes_);
        builder.RegisterService(&devices_);
        builder.RegisterService(&operations_);
        server_ = builder.BuildAndStart();
    }
    ~SlowDaemon() { server_->Shutdown(std::chrono::system_clock::now()); }

    /// [any-thread] Something that happens once.
    struct Moment {
        void set() {
            const std::lock_guard lock(mutex);
            happened = true;
            changed.notify_all();
        }
        bool wait(std::chrono::seconds patience) {
            std::unique_lock lock(mutex);
            return changed.wait_for(lock, patience, [&] { return happened; });
        }
        std::mutex mutex;
        std::condition_variable changed;
        bool happened = false;
    };
    Moment watched, called, over;
    std::atomic<int> attaches{0}, cancels{0};

  private:
    struct Sandboxes final : v1::Sandboxes::Service {
        explicit Sandboxes(SlowDaemon& d) : daemon(d) {}
        grpc::Status Watch(grpc::ServerContext*, const v1::WatchRequest*,
                           grpc::ServerWriter<v1::WatchResponse>* writer) override {
            v1::WatchResponse response;
            response.mutable_snapshot()->set_revision(1);
            if (begins)
                writer->Write(response);
            daemon.watched.set();
            daemon.over.wait(std::chrono::seconds(60));
            return grpc::Status::OK;
        }
        SlowDaemon& daemon;
        bool begins = false;
    };
    struct Devices final : v1::Devices::Service {
        explicit Devices(SlowDaemon& d) : daemon(d) {}
        grpc::Status Attach(grpc::ServerContext*, const v1::AttachRequest*,
                            v1::AttachResponse*) override {
            ++daemon.attaches;
            daemon.called.set();
            daemon.over.wait(std::chrono::seconds(60));
            return grpc::Status::CANCELLED;
        }
        SlowDaemon& daemon;
    };
    struct Operations final : v1::Operations::Service {
        explicit Operations(SlowDaemon& d) : daemon(d) {}
        grpc::Status Cancel(grpc::ServerContext*, const v1::CancelRequest*,
                            v1::CancelResponse* response) override {
            response->set_running(++daemon.cancels > 1);
            if (response->running())
                daemon.over.set();
            return grpc::Status::OK;
        }
        SlowDaemon& daemon;
    };
    Sandboxes sandboxes_{*this};
    Devices devices_{*this};
    Operations operations_{*this};
    std::unique_ptr<grpc::Server> server_;
};

class Cancelled : public Cli {
  protected:
    void attach_in_a_child() {
        const auto line = "exec env " +
                          command({"--verbose", "attach", "sb1", std::string(type8)}, true) +
                          " 2>" + (directory / "err").string();
        child = ::fork();
        if (child == 0) {
            ::execl("/bin/sh", "sh", "-c", line.c_str(), nullptr);
            ::_exit(127);
        }
    }
    int status() {
        int ended = 0;
        ::waitpid(child, &ended, 0);
        return WIFEXITED(ended) ? WEXITSTATUS(ended) : -1;
    }
    std::string told() const {
        std::ifstream in(directory / "err");
        return {std::istreambuf_iterator<char>(in), {}};
    }
    pid_t child = -1;
};

/// As of one that is stopped: it has the connection, and says nothing.
TEST_F(Cancelled, BeforeTheCallWasMadeItIsNotMade) {
    SlowDaemon slow(address(), false);
    attach_in_a_child();
    ASSERT_TRUE(slow.watched.wait(std::chrono::seconds(60)));
    ::kill(child, SIGINT);
    const bool made = slow.called.wait(std::chrono::seconds(0));
    EXPECT_EQ(status(), 130) << told();
    EXPECT_FALSE(made);
    EXPECT_EQ(slow.attaches, 0);
    EXPECT_NE(told().find("was cancelled before it began"), std::string::npos) << told();
    slow.over.set();
}

TEST_F(Cancelled, AnAnswerThatTheCallIsNotKnownYetIsNotTheLastWord) {
    SlowDaemon slow(address(), true);
    attach_in_a_child();
    ASSERT_TRUE(slow.called.wait(std::chrono::seconds(60)));
    ::kill(child, SIGINT);
    EXPECT_TRUE(slow.over.wait(std::chrono::seconds(30))) << "asked once";
    slow.over.set();
    EXPECT_EQ(status(), 130) << told();
    EXPECT_EQ(slow.cancels, 2);
}

/// The real one, stopped before the command comes.
TEST_F(Cancelled, AStoppedDaemonHasNothingToDoWhenItGoesOn) {
    start_with_sandbox();
    const auto before = snapshot();
    const auto adds = machine->count("device_add");
    daemon->signal(SIGSTOP);
    attach_in_a_child();
    // The command holds its signals back from before it connects.
    const auto held = [&] {
        std::ifstream status("/proc/" + std::to_string(child) + "/status");
        for (std::string line; std::getline(status, line);)
            if (line.starts_with("SigBlk:"))
                return (std::stoull(line.substr(7), nullptr, 16) & (1u << (SIGINT - 1))) != 0;
        return false;
    };
    while (!held())
        ::sched_yield();
    ::kill(child, SIGINT);
    EXPECT_EQ(status(), 130) << told();
    EXPECT_NE(told().find("before it began"), std::string::npos) << told();
    daemon->signal(SIGCONT);
    v1::ListResponse all; // behind what the command may have left
    grpc::ClientContext context;
    ASSERT_TRUE(client->sandboxes->List(&context, {}, &all).ok());
    EXPECT_EQ(machine->count("device_add"), adds);
    expect_untouched(before);
}

} // namespace
} // namespace kata_vfio::service_test
