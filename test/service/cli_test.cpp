// SPDX-License-Identifier: Apache-2.0
// kata-vfio --daemon prints what kata-vfio prints.
#include "test/service/cli_world.hpp"

#include <boost/json.hpp>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <future>

namespace kata_vfio::service_test {
namespace {

namespace json = boost::json;

const std::vector<std::vector<std::string>> life{
    {"gpus"},
    {"gpus", "--all"},
    {"types"},
    {"types", std::string(gpu)},
    {"types", "0000:00:1e.0"},
    {"vgpus"},
    {"sandbox", "open", "sb1", "--qmp", "MONITOR"},
    {"sandbox", "open", "sb1", "--qmp", "MONITOR"},
    {"sandbox", "open", "sb1", "--qmp", "OTHER"},
    {"list"},
    {"attach", "sb1", std::string(type8), "--uuid", std::string(uuid_a), "--dry-run"},
    {"attach", "sb1", std::string(type8), "--uuid", std::string(uuid_a)},
    {"attach", "sb1", std::string(type8), "--uuid", std::string(uuid_a)},
    {"attach", "sb1", ".."},
    {"attach", "../x", std::string(gpu)},
    {"list"},
    {"list", "sb1"},
    {"list", "nobody"},
    {"vgpus"},
    {"topology"},
    {"remove", std::string(uuid_a)},
    {"reconcile", "--dry-run"},
    {"detach", "sb1", std::string(uuid_a)},
    {"detach", "sb1", std::string(uuid_a)},
    {"attach", "sb1", std::string(gpu)},
    {"gpus"},
    {"sandbox", "release", "sb1"},
    {"list"},
    {"create", std::string(type8), "--uuid", std::string(uuid_b)},
    {"create", std::string(type8), "--uuid", std::string(uuid_b)},
    {"vgpus"},
    {"remove", std::string(uuid_b)},
    {"bind", std::string(gpu)},
    {"restore", std::string(gpu)},
    {"reconcile"},
};

TEST_F(Cli, PrintsTheSameThroughTheDaemon) {
    machine->fill_bus(3);
    kernel = std::make_unique<fake::FakeKernel>(root);
    const auto other = (directory / "other.sock").string(); // the same QEMU's
    std::filesystem::create_symlink(machine->path(), other);
    for (const bool as_json : {false, true}) {
        std::vector<Printed> in_process, by_daemon;
        const auto all = [&](std::vector<Printed>& printed, bool through) {
            for (auto words : life) {
                for (auto& word : words)
                    if (word == "MONITOR")
                        word = machine->path();
                    else if (word == "OTHER")
                        word = other;
                if (as_json)
                    words.insert(words.begin(), "--json");
                printed.push_back(run(words, through));
            }
        };
        all(in_process, false);
        start_daemon();
        all(by_daemon, true);
        daemon->signal(SIGTERM);
        EXPECT_EQ(daemon->wait(), 0);
        for (std::size_t i = 0; i < life.size(); ++i) {
            std::string told;
            for (const auto& word : life[i])
                told += word + " ";
            const auto& one = in_process[i];
            const auto& two = by_daemon[i];
            EXPECT_EQ(one.status, two.status) << told << "\n" << one.err << two.err;
            EXPECT_EQ(one.err, two.err) << told;
            if (life[i].back() == "OTHER") // and of the one before it
                for (const auto& [note, printed] :
                     {std::pair{"the same QMP socket", by_daemon[i - 1]},
                      std::pair{"another QMP socket: ", by_daemon[i]}}) {
                    if (!as_json)
                        EXPECT_NE(
                            printed.err.find("kata-vfio: sandbox sb1 was open already, with " +
                                             std::string(note)),
                            std::string::npos)
                            << printed.err;
                    else
                        EXPECT_TRUE(json::parse(printed.out).at("opened_before").as_bool());
                }
            if (as_json)
                EXPECT_EQ(json::parse(one.out), json::parse(two.out)) << told << "\n"
                                                                      << one.out << two.out;
            else
                EXPECT_EQ(one.out, two.out) << told;
        }
    }
}

TEST_F(Cli, TopLooksAtTheSameAndTimesQmpEachInItsWay) {
    configure("", "qmp_proxy = \"read-only\"\nqmp_log = true");
    start_with_sandbox();
    ASSERT_TRUE(attach(type8, uuid_a).ok());
    const auto look = [&](bool by_daemon, json::value& qmp) {
        const auto printed = run({"top", "--once", "--json"}, by_daemon);
        EXPECT_EQ(printed.status, 0) << printed.err;
        auto object = json::parse(printed.out).as_object();
        EXPECT_EQ(object.at("time").as_string().size(), 20u);
        object.erase("time");
        qmp = object.at("sandboxes").at(0).at("qmp");
        object.at("sandboxes").at(0).as_object().erase("qmp");
        return object;
    };
    json::value recorded, asked;
    const auto in_process = look(false, recorded);
    const auto by_daemon = look(true, asked);
    EXPECT_EQ(in_process, by_daemon);
    EXPECT_EQ(in_process.at("devices"), 1);
    EXPECT_EQ(in_process.at("pending"), 0);
    EXPECT_GT(in_process.at("types").as_array().size(), 3u);
    // Its wire log has what was asked at the open and the attaches; the daemon asks once, now.
    EXPECT_GT(recorded.at("commands").to_number<int>(), 5);
    EXPECT_EQ(asked.at("commands"), 1);
    EXPECT_GT(asked.at("max_ms").to_number<double>(), 0);
    const auto people = run({"top", "--count", "1"}, true);
    EXPECT_NE(people.out.find("1 sandbox, 1 device, 0 pending"), std::string::npos) << people.out;
    EXPECT_EQ(people.out.find('\x1b'), std::string::npos); // not a terminal
}

TEST_F(Cli, TopGoesOnUntilASignal) {
    start_daemon();
    int output[2];
    ASSERT_EQ(::pipe(output), 0);
    const auto line = "exec env " + command({"top", "--json", "--interval", "86400"}, true);
    const pid_t child = ::fork();
    if (child == 0) {
        ::dup2(output[1], STDOUT_FILENO);
        ::close(output[0]);
        ::close(output[1]);
        ::execl("/bin/sh", "sh", "-c", line.c_str(), nullptr);
        ::_exit(127);
    }
    ::close(output[1]);
    std::string look(4096, '\0');
    const auto n = ::read(output[0], look.data(), look.size()); // the first is there
    ASSERT_GT(n, 0);
    EXPECT_EQ(look.front(), '{');
    ::kill(child, SIGINT);
    int status = 0;
    ::waitpid(child, &status, 0);
    ::close(output[0]);
    // Between two looks it is the way to end; in one it would be a cancelled call.
    EXPECT_TRUE(WIFEXITED(status) || WTERMSIG(status) == SIGINT);
    if (WIFEXITED(status)) {
        EXPECT_EQ(WEXITSTATUS(status), 0);
    }
}

TEST_F(Cli, CheckPrintsTheSame) {
    start_daemon();
    for (const auto& words : std::vector<std::vector<std::string>>{
             {"check"}, {"check", "--gvt-g"}, {"check", "--json"}}) {
        const auto one = run(words, false), two = run(words, true);
        EXPECT_EQ(one.status, two.status);
        EXPECT_EQ(one.out, two.out);
        EXPECT_FALSE(one.out.empty());
    }
}

TEST_F(Cli, StepsAreShownAndCtrlCIsWaitedFor) {
    start_with_sandbox();
    const auto before = snapshot();
    const auto shown = run(
        {"--verbose", "attach", "sb1", std::string(type8), "--uuid", std::string(uuid_a)}, true);
    EXPECT_EQ(shown.status, 0) << shown.err;
    EXPECT_NE(shown.err.find("create vGPU " + std::string(uuid_a)), std::string::npos) << shown.err;
    EXPECT_NE(shown.err.find("plug vfio-"), std::string::npos) << shown.err;
    ASSERT_TRUE(detach(uuid_a).ok());

    machine->block_on("device_add");
    const auto err = (directory / "err").string();
    const auto line = "exec env " +
                      command({"--verbose", "attach", "sb1", std::string(type8)}, true) + " 2>" +
                      err;
    const pid_t child = ::fork();
    if (child == 0) {
        ::execl("/bin/sh", "sh", "-c", line.c_str(), nullptr);
        ::_exit(127);
    }
    machine->wait_blocked();
    ::kill(child, SIGINT);
    daemon->wait_log("is given up");
    machine->unblock();
    int status = 0;
    ::waitpid(child, &status, 0);
    std::ifstream in(err);
    const std::string told(std::istreambuf_iterator<char>(in), {});
    EXPECT_EQ(WEXITSTATUS(status), 130) << told;
    EXPECT_NE(told.find("cancelling: what was done is being undone"), std::string::npos) << told;
    EXPECT_NE(told.find("undone: create vGPU"), std::string::npos) << told;
    expect_untouched(before);
}

/// A daemon whose Watch tells of a call's step only after the call's answer is on its way.
class LateSteps {
  public:
    explicit LateSteps(const std::string& address) {
        grpc::ServerBuilder builder;
        builder.AddListeningPort(address, grpc::InsecureServerCredentials());
        builder.RegisterService(&sandboxes_);
        builder.RegisterService(&devices_);
        server_ = builder.BuildAndStart();
    }

  private:
    struct Attach final : grpc::ServerUnaryReactor {
        explicit Attach(std::promise<void>& a) : answered(a) { Finish(grpc::Status::OK); }
        void OnDone() override {
            answered.set_value();
            delete this;
        }
        std::promise<void>& answered;
    };
    struct Devices final : v1::Devices::CallbackService {
        grpc::ServerUnaryReactor* Attach(grpc::CallbackServerContext* context,
                                         const v1::AttachRequest* request,
                                         v1::AttachResponse* response) override {
            response->set_sandbox(request->sandbox());
            request_id = request->request_id();
            context->AddTrailingMetadata("kata-vfio-revision", "8");
            return new LateSteps::Attach(answered);
        }
        std::string request_id;
        std::promise<void> answered;
    };
    struct Sandboxes final : v1::Sandboxes::Service {
        explicit Sandboxes(Devices& d) : devices(d) {}
        grpc::Status Watch(grpc::ServerContext*, const v1::WatchRequest*,
                           grpc::ServerWriter<v1::WatchResponse>* writer) override {
            v1::WatchResponse response;
            response.mutable_snapshot()->set_revision(6);
            writer->Write(response);
            devices.answered.get_future().wait();
            auto& event = *response.mutable_event();
            event.set_revision(7);
            event.set_kind(v1::Event::KIND_STEP);
            event.set_request_id(devices.request_id);
            event.set_text("the last step");
            writer->Write(response);
            event.set_revision(8);
            event.set_kind(v1::Event::KIND_DEVICE_ATTACHED);
            writer->Write(response);
            return grpc::Status::OK;
        }
        Devices& devices;
    };

    Devices devices_;
    Sandboxes sandboxes_{devices_};
    std::unique_ptr<grpc::Server> server_;
};

TEST_F(Cli, AStepThatComesAfterTheAnswerIsShownToo) {
    const LateSteps daemon_of_one_call(address());
    const auto shown = run({"--verbose", "attach", "sb1", std::string(type8)}, true);
    EXPECT_NE(shown.err.find("the last step"), std::string::npos) << shown.err << shown.out;
}

TEST_F(Cli, WithoutADaemonOrForAVerbThatIsNotItsOwn) {
    const auto nobody = run({"list"}, true);
    EXPECT_EQ(nobody.status, 4);
    EXPECT_NE(nobody.err.find("the daemon can't be reached"), std::string::npos) << nobody.err;
    const auto config_verb = run({"config", "check"}, true);
    EXPECT_EQ(config_verb.status, 2) << config_verb.err;
    ::setenv("KATA_VFIO_CLIENT", "/nowhere/kata_vfio_client.so", 1);
    const auto no_module = run({"list"}, true);
    ::unsetenv("KATA_VFIO_CLIENT");
    EXPECT_EQ(no_module.status, 4);
    EXPECT_NE(no_module.err.find("can't load /nowhere"), std::string::npos) << no_module.err;
}

TEST_F(Cli, TheCommandItselfNeedsNoGrpc) {
    for (const auto* file : {"/bin/kata-vfio", "/lib/libkata_vfio.so"}) {
        const auto needed = "readelf -d " + std::string(test::binary_dir) + file +
                            " | grep NEEDED | grep -cE 'grpc|protobuf|absl|prometheus|systemd'";
        EXPECT_NE(WEXITSTATUS(std::system((needed + " >/dev/null").c_str())), 0) << file;
    }
}

/// The call itself may take as long as a guest does; a daemon that answers no ping is another
/// thing.
TEST_F(Cli, ADaemonThatStopsDuringACall) {
    start_with_sandbox();
    machine->block_on("device_add");
    auto shown = std::async(std::launch::async, [&] {
        return run({"attach", "sb1", std::string(type8)}, true);
    });
    machine->wait_blocked();
    daemon->signal(SIGSTOP);
    const auto ended = shown.wait_for(std::chrono::seconds(90)) == std::future_status::ready;
    EXPECT_TRUE(ended);
    daemon->signal(SIGCONT); // what the client has left is undone
    machine->unblock();
    const auto printed = shown.get();
    if (ended) {
        EXPECT_EQ(printed.status, 4) << printed.err;
        EXPECT_NE(printed.err.find("what to do: "), std::string::npos) << printed.err;
    }
}

} // namespace
} // namespace kata_vfio::service_test
