// SPDX-License-Identifier: Apache-2.0
// What a call of kata-vfiod costs, alone and with many clients and sandboxes.
//
//   kata-vfio-bench-service [SANDBOXES [CLIENTS [CALLS]]]
//
// Devices.List of one sandbox: by one client with one sandbox open, then by CLIENTS at once with
// SANDBOXES open, each on a scripted QEMU of its own, as fast as they are answered and ten times a
// second each; then CLIENTS attaches at once. Milliseconds.
#include "kata_vfio/v1/devices.grpc.pb.h"
#include "kata_vfio/v1/sandboxes.grpc.pb.h"
#include "test/fixtures/fake_qmp/fake_machine.hpp"
#include "test/fixtures/fake_root/fake_kernel.hpp"
#include "test/fixtures/fake_root/fake_root.hpp"
#include "test/service/daemon_process.hpp"

#include <grpcpp/grpcpp.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>
#include <vector>

namespace {

using namespace kata_vfio;
using Clock = std::chrono::steady_clock;

std::atomic<int> errors{0};

struct Client {
    explicit Client(const std::string& address) {
        grpc::ChannelArguments arguments;
        arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
        const auto channel =
            grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
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
    double attach(const std::string& id) {
        v1::AttachRequest request;
        request.set_sandbox(id);
        request.set_device("mtty-1");
        v1::AttachResponse answer;
        return timed([&](auto& context) { return devices->Attach(&context, request, &answer); });
    }
    std::unique_ptr<v1::Sandboxes::Stub> sandboxes;
    std::unique_ptr<v1::Devices::Stub> devices;
};

void print(const char* what, std::vector<double> times) {
    std::sort(times.begin(), times.end());
    const auto at = [&](double share) {
        return times[std::min(times.size() - 1,
                              static_cast<std::size_t>(share * static_cast<double>(times.size())))];
    };
    std::printf("%-44s median %7.2f   99 %% %7.2f   max %7.2f   (%zu calls)\n", what, at(0.5),
                at(0.99), times.back(), times.size());
}

template <class Each>
std::vector<double> together(int clients, const std::string& address, Each each) {
    std::vector<double> times;
    std::mutex mutex;
    std::vector<std::thread> threads;
    for (int i = 0; i < clients; ++i)
        threads.emplace_back([&, i] {
            Client client(address);
            auto own = each(client, i);
            const std::lock_guard lock(mutex);
            times.insert(times.end(), own.begin(), own.end());
        });
    for (auto& thread : threads)
        thread.join();
    return times;
}

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
        std::vector<double> alone;
        for (int i = 0; i < 500; ++i)
            alone.push_back(client.list("s0"));
        print("Devices.List, one client, one sandbox", alone);
        const auto began = Clock::now();
        while (machines.size() < static_cast<std::size_t>(sandboxes))
            open_one();
        std::printf("%d sandboxes opened, one after the other, in %.1f s\n", sandboxes,
                    std::chrono::duration<double>(Clock::now() - began).count());
        alone.clear();
        for (int i = 0; i < 500; ++i)
            alone.push_back(client.list("s" + std::to_string(i % sandboxes)));
        print("Devices.List, one client, all sandboxes", alone);
        print("Devices.List, all clients, one after another",
              together(clients, address, [&](Client& one, int number) {
                  std::vector<double> own;
                  for (int i = 0; i < calls; ++i)
                      own.push_back(one.list("s" + std::to_string((number + i) % sandboxes)));
                  return own;
              }));
        print("Devices.List, all clients, 10 a second each",
              together(clients, address, [&](Client& one, int number) {
                  std::vector<double> own;
                  // Spread over the tenth of a second, as clients are.
                  auto next = Clock::now() + std::chrono::microseconds(100000 * number / clients);
                  for (int i = 0; i < calls; ++i) {
                      std::this_thread::sleep_until(next);
                      own.push_back(one.list("s" + std::to_string((number + i) % sandboxes)));
                      next += std::chrono::milliseconds(100);
                  }
                  return own;
              }));
        print("Devices.Attach, all clients at once",
              together(clients, address, [&](Client& one, int number) {
                  return std::vector{one.attach("s" + std::to_string(number % sandboxes))};
              }));
        std::printf("errors: %d\n", errors.load());
        daemon.signal(SIGTERM);
        daemon.wait();
    }
    std::filesystem::remove_all(directory);
    return errors == 0 ? 0 : 1;
}
