// SPDX-License-Identifier: Apache-2.0
// How much of an attach is the plugin's own work: everything but the kernel's and QEMU's answers.
//
//   kata-vfio-bench LIBRARY [CYCLES]
//
// A fake host root on /dev/shm with a thread that plays the kernel, and a simulated QEMU. Each
// cycle attaches a vGPU by type through the C ABI, and beside it does what the kernel and QEMU have
// to do for it with no plugin at all: `create` and its wait, and device_add. The
// difference of the medians is the plugin's own share: request, policy, resolving, claims, journal
// and state file (on /dev/shm, where neither is synced), thread hops. A vGPU that exists already is
// attached beside them.
#include "config/base/unique_fd.hpp"
#include "mdev/mdev_create.hpp"
#include "mdev/mdev_remove.hpp"
#include "runtime-plugin/abi/kata_vfio.h"
#include "test/fixtures/fake_qmp/fake_machine.hpp"
#include "test/fixtures/fake_root/fake_kernel.hpp"
#include "test/fixtures/fake_root/fake_root.hpp"
#include "test/scenarios/raw_qmp.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

namespace {

using namespace kata_vfio;
using Clock = std::chrono::steady_clock;

const std::string type = "i915-GVTg_V4_8";
const std::string parent = "0000:00:02.0";

kata_vfio_str_t str(const std::string& text) {
    return {text.data(), text.size()};
}

[[noreturn]] void die(const std::string& what) {
    std::fprintf(stderr, "bench: %s\n", what.c_str());
    std::exit(1);
}

struct Series {
    std::vector<double> values; ///< ms

    void add(Clock::duration d) {
        values.push_back(std::chrono::duration<double, std::milli>(d).count());
    }
    double at(double quantile) {
        std::sort(values.begin(), values.end());
        return values[static_cast<std::size_t>(static_cast<double>(values.size() - 1) * quantile)];
    }
    void print(const char* what) {
        std::printf("%-44s median %7.3f ms   p90 %7.3f   p99 %7.3f\n", what, at(0.5), at(0.9),
                    at(0.99));
    }
};

struct Host {
    const kata_vfio_entry_t* entry = nullptr;
    kata_vfio_plugin_t* plugin = nullptr;
    kata_vfio_sandbox_t* sandbox = nullptr;

    void require(kata_vfio_status_t status, kata_vfio_result_t* result, const char* what) const {
        if (status != KATA_VFIO_OK)
            die(std::string(what) + ": " +
                (result ? std::string(result->message.ptr, result->message.len)
                        : entry->status_name(status)));
        entry->result_free(result);
    }
};

Host open(const char* library, const std::string& config, const std::string& root,
          const std::string& socket) {
    void* handle = ::dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        die(std::string("can't load ") + library);
    Host host;
    host.entry = static_cast<const kata_vfio_entry_t*>(::dlsym(handle, KATA_VFIO_ENTRY_SYMBOL));
    kata_vfio_plugin_options_t options = KATA_VFIO_INIT(options);
    options.config_path = str(config);
    options.host_root = str(root);
    char error[512] = "";
    if (host.entry->plugin_open(nullptr, &options, &host.plugin, error, sizeof error) !=
        KATA_VFIO_OK)
        die(error);
    kata_vfio_sandbox_options_t opening = KATA_VFIO_INIT(opening);
    const std::string id = "bench";
    opening.id = str(id);
    opening.qmp_socket = str(socket);
    kata_vfio_result_t* result = nullptr;
    const auto status = kata_vfio_open_and_wait(host.entry, host.plugin, &opening, &result);
    host.sandbox = result ? result->sandbox : nullptr;
    host.require(status, result, "sandbox_open");
    return host;
}

void attach_cycle(const Host& host, Series& attach, Series& detach) {
    kata_vfio_attach_t request = KATA_VFIO_INIT(request);
    request.device = str(type);
    kata_vfio_result_t* result = nullptr;
    const auto began = Clock::now();
    auto status =
        kata_vfio_attach_and_wait(host.entry, host.plugin, host.sandbox, &request, &result);
    const auto attached = Clock::now();
    host.require(status, result, "attach");
    status = kata_vfio_detach_and_wait(host.entry, host.plugin, host.sandbox, str(type), &result);
    const auto detached = Clock::now();
    host.require(status, result, "detach");
    attach.add(attached - began);
    detach.add(detached - attached);
}

/// Attaches a vGPU that is there already: no driver has a hand in it.
void existing_cycle(const Host& host, const vfio::HostRoot& root, Series& attach) {
    const auto uuid = mdev::Uuid::random();
    mdev::create(root, parent, type, uuid, std::chrono::seconds(5));
    const auto device = uuid.text();
    kata_vfio_attach_t request = KATA_VFIO_INIT(request);
    request.device = str(device);
    kata_vfio_result_t* result = nullptr;
    const auto began = Clock::now();
    auto status =
        kata_vfio_attach_and_wait(host.entry, host.plugin, host.sandbox, &request, &result);
    attach.add(Clock::now() - began);
    host.require(status, result, "attach of a vGPU that exists");
    status = kata_vfio_detach_and_wait(host.entry, host.plugin, host.sandbox, str(device), &result);
    host.require(status, result, "detach");
    mdev::remove(root, uuid, std::chrono::seconds(5));
}

/// A vGPU made with no code of the product's: the write, and the wait for what it brings.
class BareCreate {
  public:
    explicit BareCreate(const vfio::HostRoot& root)
        : bus_(root.sys("bus/mdev/devices")),
          create_(root.sys("class/mdev_bus") / parent / "mdev_supported_types" / type / "create"),
          watch_(::inotify_init1(IN_CLOEXEC)) {
        if (::inotify_add_watch(watch_.get(), bus_.c_str(), IN_CREATE) < 0)
            die("inotify_add_watch");
    }

    void make(const std::string& uuid) {
        UniqueFd control(::open(create_.c_str(), O_WRONLY | O_CLOEXEC));
        const auto line = uuid + "\n";
        if (::write(control.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size()))
            die("can't write " + create_);
        // The plugin's own vGPUs were told of here as well: until the name is ours.
        while (::access((bus_ + "/" + uuid + "/iommu_group").c_str(), F_OK) != 0) {
            alignas(inotify_event) char events[4096];
            if (::read(watch_.get(), events, sizeof events) < 0)
                die("inotify");
        }
    }

  private:
    std::string bus_, create_;
    UniqueFd watch_;
};

void bare_cycle(const vfio::HostRoot& root, BareCreate& bare, scenario::RawQmp& qmp, Series& kernel,
                Series& qemu) {
    const auto uuid = mdev::Uuid::random();
    const auto began = Clock::now();
    bare.make(uuid.text());
    const auto created = Clock::now();
    // What a steady attach sends: it remembers the root bus.
    const auto answer = qmp.command(
        R"({"execute":"device_add","arguments":{"driver":"vfio-pci","id":"raw","bus":"pci.0","sysfsdev":"/sys/bus/mdev/devices/)" +
        uuid.text() + R"("}})");
    const auto plugged = Clock::now();
    if (answer.find("error") != std::string::npos)
        die("the bare device_add: " + answer);
    qmp.remove("raw");
    mdev::remove(root, uuid, std::chrono::seconds(5));
    kernel.add(created - began);
    qemu.add(plugged - created);
}

int run(const char* library, int cycles) {
    fake::FakeRoot root;
    root.populate_gvt_host();
    fake::FakeKernel kernel_thread(root);
    fake::FakeMachine::Options options;
    options.keep_commands = false;
    fake::FakeMachine machine(options), bare_machine(options);
    const auto config = root.at("/configuration.toml").string();
    std::ofstream(config) << "[hypervisor.qemu]\nmachine_type = \"pc\"\n"
                             "hotplug_vfio_on_root_bus = true\n"
                          << std::flush;
    const auto host = open(library, config, root.path().string(), machine.path());
    scenario::RawQmp qmp(bare_machine.path());
    BareCreate bare(root.host());

    Series attach, detach, existing, kernel, qemu, warm_up;
    for (int i = 0; i < 5; ++i) {
        attach_cycle(host, warm_up, warm_up);
        existing_cycle(host, root.host(), warm_up);
        bare_cycle(root.host(), bare, qmp, warm_up, warm_up);
    }
    for (int i = 0; i < cycles; ++i) {
        attach_cycle(host, attach, detach);
        existing_cycle(host, root.host(), existing);
        bare_cycle(root.host(), bare, qmp, kernel, qemu);
    }
    std::printf("%d cycles, fake host root at %s\n", cycles, root.path().c_str());
    attach.print("attach through the C ABI");
    existing.print("attach of a vGPU that exists");
    kernel.print("bare: create a vGPU");
    qemu.print("bare: device_add");
    detach.print("detach through the C ABI");
    const double share = attach.at(0.5) - kernel.at(0.5) - qemu.at(0.5);
    std::printf("attach / bare: %.2f\nthe plugin's own share of an attach: %.3f ms (goal: at most "
                "1 ms)\n",
                attach.at(0.5) / (kernel.at(0.5) + qemu.at(0.5)), share);
    host.entry->sandbox_close(host.sandbox);
    host.entry->plugin_close(host.plugin);
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    const int cycles = argc == 3 ? std::atoi(argv[2]) : 500;
    if (argc < 2 || argc > 3 || cycles < 1) {
        std::fprintf(stderr, "usage: %s LIBRARY [CYCLES]\n", argv[0]);
        return 2;
    }
    try {
        return run(argv[1], cycles);
    } catch (const std::exception& error) {
        die(error.what());
    }
}
