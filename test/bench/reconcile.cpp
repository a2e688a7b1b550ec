// SPDX-License-Identifier: Apache-2.0
// What reconcile costs on a host with many sandboxes.
//
//   kata-vfio-bench-reconcile LIBRARY [SANDBOXES...]
//
// Each sandbox has one vGPU and a claim; their QEMUs run, so all of them are adopted. A fake host
// root, the plugin through its C ABI. Milliseconds: median of 5.
#include "runtime-plugin/abi/kata_vfio.h"
#include "test/fixtures/fake_root/fake_root.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <chrono>
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
        root.write("/proc/" + pid + "/stat",
                   pid + " (qemu) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 777 0 0\n");
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

/// One reconcile, in ms; ends the program unless each sandbox was kept.
double reconcile(const kata_vfio_entry_t* kv, const fake::FakeRoot& root, int sandboxes) {
    const auto config = root.at("/configuration.toml").string(), top = root.path().string();
    kata_vfio_plugin_options_t options = KATA_VFIO_INIT(options);
    options.config_path = view(config);
    options.host_root = view(top);
    kata_vfio_plugin_t* plugin = nullptr;
    char text[1024];
    if (kv->plugin_open(nullptr, &options, &plugin, text, sizeof text) != KATA_VFIO_OK) {
        std::fprintf(stderr, "%s\n", text);
        std::exit(1);
    }
    kata_vfio_result_t* result = nullptr;
    const auto began = Clock::now();
    const auto status = kata_vfio_reconcile_and_wait(kv, plugin, nullptr, &result);
    const std::chrono::duration<double, std::milli> took = Clock::now() - began;
    int kept = 0;
    const std::string_view json(result->json.ptr, result->json.len);
    for (auto at = json.find("\"kept\""); at != json.npos; at = json.find("\"kept\"", at + 1))
        ++kept;
    kv->result_free(result);
    kv->plugin_close(plugin);
    if (status != KATA_VFIO_OK || kept != sandboxes) {
        std::fprintf(stderr, "bench: status %d, %d of %d kept\n", status, kept, sandboxes);
        std::exit(1);
    }
    return took.count();
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
    std::printf("sandboxes  reconcile ms  us each\n");
    for (const int size : sizes) {
        fake::FakeRoot root;
        populate(root, size);
        std::vector<double> times;
        for (int i = 0; i < 5; ++i)
            times.push_back(reconcile(kv, root, size));
        std::sort(times.begin(), times.end());
        std::printf("%9d  %12.2f  %7.1f\n", size, times[2], times[2] * 1000 / size);
    }
    return 0;
}
