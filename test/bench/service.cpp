// SPDX-License-Identifier: Apache-2.0
// What a call of kata-vfiod costs, alone and with many clients and sandboxes.
//
//   kata-vfio-bench-service [SANDBOXES [CLIENTS [CALLS]]]
//
// Devices.List of one sandbox: by one client with one sandbox open, then by CLIENTS at once with
// SANDBOXES open, each on a scripted QEMU of its own, as fast as they are answered and ten times a
// second each; then CLIENTS attaches at once. Beside it, in turns, what gRPC alone can do here: the
// health service's Check of the same daemon, by the same clients on the same connections.
// Milliseconds; and for crowds how many calls a second, and the processor's microseconds a call.
#include "kata_vfio/v1/devices.grpc.pb.h"
#include "kata_vfio/v1/sandboxes.grpc.pb.h"
#include "test/fixtures/fake_qmp/fake_machine.hpp"
#include "test/fixtures/fake_root/fake_kernel.hpp"
#include "test/fixtures/fake_root/fake_root.hpp"
#include "test/service/daemon_process.hpp"

#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/client_unary_call.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>
#include <vector>

namespace {

using namespace kata_vfio;
using Clock = std::chrono::steady_clock;

/// How often each kind of call has its turn.
constexpr int turns = 4;

std::atomic<int> errors{0};

struct Client {
    explicit Client(const std::string& address) {
        grpc::ChannelArguments arguments;
        arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
        channel = grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
        sandboxes = v1::Sandboxes::NewStub(channel);
        devices = v1::Devices::NewStub(channel);
    }
    template <class Call>
    double timed(Call&& call) {
        grpc::ClientContext context;
        const auto began = Clock::now();
        const auto status = call(context);
        const std::chrono::duration<double, std::milli> took = Clock::now() - began;
        if (!status.ok()) {
            ++errors;
            std::fprintf(stderr, "%s\n", status.error_message().c_str());
        }
        return took.count();
    }
    void open(const std::string& id, const std::string& socket) {
        v1::OpenRequest request;
        request.set_sandbox(id);
        request.set_qmp_socket(socket);
        v1::Sandbox sandbox;
        timed([&](auto& context) { return sandboxes->Open(&context, request, &sandbox); });
    }
    double list(const std::string& id) {
        v1::ListDevicesRequest request;
        request.set_sandbox(id);
        v1::ListDevicesResponse answer;
        return timed([&](auto& context) { return devices->List(&context, request, &answer); });
    }
    /// The least that a unary call of gRPC's is: no request, an answer of two bytes.
    double check() {
        static const grpc::internal::RpcMethod method("/grpc.health.v1.Health/Check",
                                                      grpc::internal::RpcMethod::NORMAL_RPC);
        const grpc::ByteBuffer none(nullptr, 0);
        grpc::ByteBuffer answer;
        return timed([&](auto& context) {
            return grpc::internal::BlockingUnaryCall(channel.get(), method, &context, none,
                                                     &answer);
        });
    }
    double attach(const std::string& id) {
        v1::AttachRequest request;
        request.set_sandbox(id);
        request.set_device("mtty-1");
        v1::AttachResponse answer;
        return timed([&](auto& context) { return devices->Attach(&context, request, &answer); });
    }
    std::shared_ptr<grpc::Channel> channel;
    std::unique_ptr<v1::Sandboxes::Stub> sandboxes;
    std::unique_ptr<v1::Devices::Stub> devices;
};

/// What one kind of call took.
struct Series {
    std::vector<double> times;
    double wall = 0, daemon = 0, clients = 0; ///< seconds; of the processor, the last two
    void add(const Series& other) {
        times.insert(times.end(), other.times.begin(), other.times.end());
        wall += other.wall;
        daemon += other.daemon;
        clients += other.clients;
    }
};

void print(const char* what, Series series) {
    auto& times = series.times;
    std::sort(times.begin(), times.end());
    const auto count = static_cast<double>(times.size());
    const auto at = [&](double share) {
        return times[std::min(times.size() - 1, static_cast<std::size_t>(share * count))];
    };
    std::printf("%-46s median %7.2f   99 %% %7.2f   max %7.2f   (%zu calls", what, at(0.5),
                at(0.99), times.back(), times.size());
    if (series.wall > 0)
        std::printf(", %.0f a second; processor, a call: daemon %.0f us, clients %.0f us",
                    count / series.wall, series.daemon / count * 1e6, series.clients / count * 1e6);
    std::printf(")\n");
}

double processor(clockid_t clock) {
    timespec time{};
    ::clock_gettime(clock, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

/// Clients on a connection each, at it together.
class Crowd {
  public:
    Crowd(int clients, const std::string& address, pid_t daemon) {
        for (int i = 0; i < clients; ++i)
            clients_.push_back(std::make_unique<Client>(address));
        if (::clock_getcpuclockid(daemon, &daemon_) != 0)
            daemon_ = CLOCK_PROCESS_CPUTIME_ID;
    }
    /// each(client, its number): its times.
    template <class Each>
    Series together(Each each) {
        Series series;
        std::mutex mutex;
        std::vector<std::thread> threads;
        // They begin when all are there: the start of a thread is nobody's waiting.
        std::barrier begin(static_cast<std::ptrdiff_t>(clients_.size()) + 1);
        for (std::size_t i = 0; i < clients_.size(); ++i)
            threads.emplace_back([&, i] {
                begin.arrive_and_wait();
                auto own = each(*clients_[i], static_cast<int>(i));
                const std::lock_guard lock(mutex);
                series.times.insert(series.times.end(), own.begin(), own.end());
            });
        const auto before = Clock::now();
        const auto daemon = processor(daemon_), clients = processor(CLOCK_PROCESS_CPUTIME_ID);
        begin.arrive_and_wait();
        for (auto& thread : threads)
            thread.join();
        series.wall = std::chrono::duration<double>(Clock::now() - before).count();
        series.daemon = processor(daemon_) - daemon;
        series.clients = processor(CLOCK_PROCESS_CPUTIME_ID) - clients;
        return series;
    }
    /// Of each client `calls`, one after another.
    template <class Call>
    Series pausing_never(int calls, Call call) {
        return together([&](Client& client, int number) {
            std::vector<double> own;
            for (int i = 0; i < calls; ++i)
                own.push_back(call(client, number + i));
            return own;
        });
    }
    /// Of each client `calls`, ten a second.
    template <class Call>
    Series paced(int calls, Call call) {
        return together([&](Client& client, int number) {
            std::vector<double> own;
            // Spread over the tenth of a second, as clients are.
            auto next = Clock::now() + std::chrono::microseconds(100000 * number /
                                                                 static_cast<int>(clients_.size()));
            for (int i = 0; i < calls; ++i) {
                std::this_thread::sleep_until(next);
                own.push_back(call(client, number + i));
                next += std::chrono::milliseconds(100);
            }
            return own;
        });
    }

  private:
    std::vector<std::unique_ptr<Client>> clients_;
    clockid_t daemon_ = 0;
};

} // namespace

int main(int argc, char** argv) {
    const int sandboxes = argc > 1 ? std::atoi(argv[1]) : 1000;
    const int clients = argc > 2 ? std::atoi(argv[2]) : 200;
    const int calls = argc > 3 ? std::atoi(argv[3]) : 20;
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);

    std::string name = (std::filesystem::temp_directory_path() / "kata-vfio-bench.XXXXXX").string();
    if (sandboxes < 1 || clients < 1 || calls < 1 || !::mkdtemp(name.data())) {
        std::fprintf(stderr, "usage: kata-vfio-bench-service [SANDBOXES [CLIENTS [CALLS]]]\n");
        return 2;
    }
    const std::filesystem::path directory(name);
    {
        fake::FakeRoot root;
        fake::ParentSpec parent;
        parent.name = "mtty";
        parent.pool = static_cast<unsigned>(clients);
        fake::MdevTypeSpec type;
        type.id = "mtty-1";
        parent.types = {type};
        root.populate_mdev_parent(parent);
        fake::FakeKernel kernel(root);
        std::ofstream(directory / "c.toml") << "[hypervisor.qemu]\nmachine_type = \"pc\"\n"
                                               "hotplug_vfio_on_root_bus = true\n";
        const auto socket = (directory / "d.sock").string();
        service_test::DaemonProcess daemon(directory);
        daemon.start({"--config", (directory / "c.toml").string(), "--root", root.path().string(),
                      "--socket", socket});
        const auto address = "unix:" + socket;
        fake::FakeMachine::Options quiet;
        quiet.keep_commands = false;
        std::vector<std::unique_ptr<fake::FakeMachine>> machines;
        Client client(address);
        const auto open_one = [&] {
            machines.push_back(std::make_unique<fake::FakeMachine>(quiet));
            client.open("s" + std::to_string(machines.size() - 1), machines.back()->path());
        };
        open_one();
        Series alone;
        for (int i = 0; i < 500; ++i)
            alone.times.push_back(client.list("s0"));
        print("Devices.List, one client, one sandbox", alone);
        const auto began = Clock::now();
        while (machines.size() < static_cast<std::size_t>(sandboxes))
            open_one();
        std::printf("%d sandboxes opened, one after the other, in %.1f s\n", sandboxes,
                    std::chrono::duration<double>(Clock::now() - began).count());
        alone.times.clear();
        for (int i = 0; i < 500; ++i)
            alone.times.push_back(client.list("s" + std::to_string(i % sandboxes)));
        print("Devices.List, one client, all sandboxes", alone);
        Crowd crowd(clients, address, daemon.pid());
        const auto named = [&](int number) { return "s" + std::to_string(number % sandboxes); };
        const auto list = [&](Client& one, int number) { return one.list(named(number)); };
        const auto check = [](Client& one, int) { return one.check(); };
        print("the first call of all clients, connecting", crowd.pausing_never(1, check));
        Series lists, checks, paced_lists, paced_checks;
        for (int turn = 0; turn < turns; ++turn) {
            checks.add(crowd.pausing_never(calls, check));
            lists.add(crowd.pausing_never(calls, list));
        }
        print("Health.Check, all clients, one after another", std::move(checks));
        print("Devices.List, all clients, one after another", std::move(lists));
        for (int turn = 0; turn < turns; ++turn) {
            paced_checks.add(crowd.paced(calls, check));
            paced_lists.add(crowd.paced(calls, list));
        }
        print("Health.Check, all clients, 10 a second each", std::move(paced_checks));
        print("Devices.List, all clients, 10 a second each", std::move(paced_lists));
        print("Devices.Attach, all clients at once",
              crowd.pausing_never(
                  1, [&](Client& one, int number) { return one.attach(named(number)); }));
        std::printf("errors: %d\n", errors.load());
        daemon.signal(SIGTERM);
        daemon.wait();
    }
    std::filesystem::remove_all(directory);
    return errors == 0 ? 0 : 1;
}
