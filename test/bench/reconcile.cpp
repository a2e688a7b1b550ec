// SPDX-License-Identifier: Apache-2.0
// What reconcile, and opening one more, cost on a host with many sandboxes.
//
//   kata-vfio-bench-reconcile LIBRARY [SANDBOXES...]
//
// Each sandbox has one vGPU and a claim; their QEMUs run, so all of them are adopted. A fake host
// root, the plugin through its C ABI; the QEMU of the one that is opened is a scripted one, in a
// process of its own. Milliseconds: median of 5.
#include "runtime-plugin/abi/kata_vfio.h"
#include "test/fixtures/fake_qmp/fake_machine.hpp"
#include "test/fixtures/fake_root/fake_root.hpp"

#include <dlfcn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace kata_vfio;
using Clock = std::chrono::steady_clock;

kata_vfio_str_t view(std::string_view text) {
    return {text.data(), text.size()};
}

std::string uuid_of(int number) {
    char text[37];
    std::snprintf(text, sizeof text, "00000000-0000-4000-8000-%012x", number + 1);
    return text;
}

std::string stat_line(const std::string& pid) {
    return pid + " (qemu) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 777 0 0\n";
}

void populate(fake::FakeRoot& root, int sandboxes) {
    fake::ParentSpec parent;
    parent.name = "mtty";
    parent.pool = static_cast<unsigned>(sandboxes);
    fake::MdevTypeSpec type;
    type.id = "mtty-1";
    parent.types = {type};
    root.populate_mdev_parent(parent);
    root.write("/configuration.toml", "[hypervisor.qemu]\nmachine_type = \"pc\"\n"
                                      "hotplug_vfio_on_root_bus = true\n");
    const auto device = root.at("/sys/devices/virtual/mtty/mtty");
    for (int i = 0; i < sandboxes; ++i) {
        const auto uuid = uuid_of(i), id = "sb" + std::to_string(i);
        const auto pid = std::to_string(100000 + i);
        std::filesystem::create_directory(device / uuid);
        std::filesystem::create_symlink("../mdev_supported_types/mtty-1",
                                        device / uuid / "mdev_type");
        std::filesystem::create_symlink(device / uuid, root.at("/sys/bus/mdev/devices/" + uuid));
        root.write("/proc/" + pid + "/stat", stat_line(pid));
        root.write("/run/kata-vfio/claims/mdev-" + uuid,
                   "{\"v\":1,\"sandbox\":\"" + id + "\",\"pid\":" + pid + ",\"start\":777}\n");
        root.write("/run/kata-vfio/sandboxes/" + id + "/state.json",
                   "{\"version\":1,\"sandbox\":\"" + id + "\",\"qmp_socket\":\"/run/" + id +
                       ".sock\",\"machine\":\"pc-i440fx-7.2\",\"qemu_pid\":" + pid +
                       ",\"qemu_start\":777,\"annotations\":{},\"attachments\":[{\"id\":\"vfio-" +
                       uuid +
                       "\",\"kind\":\"mdev\",\"device\":\"mtty-1\",\"host_address\":\"mtty\""
                       ",\"uuid\":\"" +
                       uuid +
                       "\",\"mdev_type\":\"mtty-1\",\"sysfsdev\":\"/sys/bus/"
                       "mdev/devices/" +
                       uuid +
                       "\",\"guest_address\":\"0000:00:05.0\","
                       "\"iommu_group\":" +
                       std::to_string(i) +
                       ",\"made_vgpu\":true,"
                       "\"bound\":null,\"unplugged\":false}],\"tainted\":[]}\n");
    }
}

/// A QEMU in a process of its own, as the plugin tells one from another by that.
class Machine {
  public:
    Machine() {
        int ends[2];
        if (::pipe(ends) != 0)
            std::exit(1);
        pid_ = ::fork(); // before there is any thread
        if (pid_ == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            const fake::FakeMachine machine;
            const auto line = machine.path() + "\n";
            if (::write(ends[1], line.data(), line.size()) < 0)
                ::_exit(1);
            for (;;)
                ::pause();
        }
        ::close(ends[1]);
        for (char c = 0; ::read(ends[0], &c, 1) == 1 && c != '\n';)
            path_ += c;
        ::close(ends[0]);
    }
    ~Machine() {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;

    const std::string& path() const { return path_; }
    std::string pid() const { return std::to_string(pid_); }

  private:
    pid_t pid_ = 0;
    std::string path_;
};

class Plugin {
  public:
    Plugin(const kata_vfio_entry_t* kv, const fake::FakeRoot& root) : kv_(kv) {
        const auto config = root.at("/configuration.toml").string(), top = root.path().string();
        kata_vfio_plugin_options_t options = KATA_VFIO_INIT(options);
        options.config_path = view(config);
        options.host_root = view(top);
        char text[1024];
        if (kv->plugin_open(nullptr, &options, &plugin_, text, sizeof text) != KATA_VFIO_OK)
            fail(text);
    }
    ~Plugin() { kv_->plugin_close(plugin_); }
    Plugin(const Plugin&) = delete;
    Plugin& operator=(const Plugin&) = delete;

    /// One reconcile, in ms; ends the program unless each sandbox was kept.
    double reconcile(int sandboxes) {
        kata_vfio_result_t* result = nullptr;
        const auto began = Clock::now();
        const auto status = kata_vfio_reconcile_and_wait(kv_, plugin_, nullptr, &result);
        const std::chrono::duration<double, std::milli> took = Clock::now() - began;
        int kept = 0;
        const std::string_view json(result->json.ptr, result->json.len);
        for (auto at = json.find("\"kept\""); at != json.npos; at = json.find("\"kept\"", at + 1))
            ++kept;
        kv_->result_free(result);
        if (status != KATA_VFIO_OK || kept != sandboxes)
            fail("not all of them were kept");
        return took.count();
    }
    /// One more sandbox opened, in ms, and released again.
    double open(const std::string& socket) {
        kata_vfio_sandbox_options_t options = KATA_VFIO_INIT(options);
        options.id = view("one-more");
        options.qmp_socket = view(socket);
        kata_vfio_result_t* result = nullptr;
        const auto began = Clock::now();
        const auto status = kata_vfio_open_and_wait(kv_, plugin_, &options, &result);
        const std::chrono::duration<double, std::milli> took = Clock::now() - began;
        if (status != KATA_VFIO_OK)
            fail(std::string(result->message.ptr, result->message.len).c_str());
        kv_->sandbox_close(result->sandbox);
        kv_->result_free(result);
        (void)kata_vfio_release_and_wait(kv_, plugin_, view("one-more"), &result);
        kv_->result_free(result);
        return took.count();
    }

  private:
    [[noreturn]] static void fail(const char* text) {
        std::fprintf(stderr, "bench: %s\n", text);
        std::exit(1);
    }
    const kata_vfio_entry_t* kv_;
    kata_vfio_plugin_t* plugin_ = nullptr;
};

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

} // namespace

int main(int argc, char** argv) {
    void* library = argc > 1 ? ::dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : nullptr;
    const auto* kv =
        library ? static_cast<const kata_vfio_entry_t*>(::dlsym(library, KATA_VFIO_ENTRY_SYMBOL))
                : nullptr;
    if (!kata_vfio_compatible(kv)) {
        std::fprintf(stderr, "usage: kata-vfio-bench-reconcile LIBRARY [SANDBOXES...]\n");
        return 2;
    }
    std::vector<int> sizes;
    for (int i = 2; i < argc; ++i)
        sizes.push_back(std::max(1, std::atoi(argv[i])));
    if (sizes.empty())
        sizes = {10, 100, 1000, 10000};
    const Machine machine;
    std::printf("sandboxes  reconcile ms  us each  open ms\n");
    for (const int size : sizes) {
        fake::FakeRoot root;
        populate(root, size);
        root.write("/proc/" + machine.pid() + "/stat", stat_line(machine.pid()));
        std::vector<double> reconciles, opens;
        for (int i = 0; i < 5; ++i) {
            Plugin plugin(kv, root); // a new one each time: nothing is remembered
            reconciles.push_back(plugin.reconcile(size));
            opens.push_back(plugin.open(machine.path()));
        }
        std::printf("%9d  %12.2f  %7.1f  %7.2f\n", size, median(reconciles),
                    median(reconciles) * 1000 / size, median(opens));
        std::fflush(stdout);
    }
    return 0;
}
