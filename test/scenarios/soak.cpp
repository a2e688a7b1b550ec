// SPDX-License-Identifier: Apache-2.0
// Attaches and detaches many times in one process and one sandbox, and measures what of this
// process, of QEMU and of the kernel has not come back (test/scenarios/soak).
//
//   soak LIBRARY CONFIG SANDBOX QMP_SOCKET QEMU_PID TYPE@PARENT VGPU_CYCLES BDF GPU_CYCLES
//
// A vGPU cycle makes a vGPU, plugs it, unplugs it and removes it; a GPU cycle takes the function
// from its driver, plugs it, unplugs it and gives it back. Figures are taken after a warm-up, half
// way and at the end, and printed. Exit status 1 when one that is counted differs, or one that only
// can be weighed grew by more than its limit.
#include "config/base/file.hpp"
#include "test/scenarios/loaded_plugin.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;
using namespace kata_vfio;
using scenario::Ending;
using scenario::LoadedPlugin;

/// Cycles before the first measurement: allocators, lazily loaded code, kept descriptors and the
/// kernel's caches settle.
constexpr int warm_up = 10;

long entries(const fs::path& directory) {
    std::error_code ec;
    return static_cast<long>(
        std::distance(fs::directory_iterator(directory, ec), fs::directory_iterator()));
}

/// The number that follows `key` in a file of /proc; -1 where there is none.
long number(const fs::path& file, const std::string& key) {
    const auto text = read_file(file).value_or("");
    const auto at = text.find(key);
    return at == std::string::npos ? -1 : std::strtol(text.c_str() + at + key.size(), nullptr, 10);
}

/// Objects in use of the kernel's general caches that a VFIO device, an mdev and a group come from.
long slab_objects() {
    const auto text = read_file("/proc/slabinfo").value_or("");
    long sum = 0;
    for (const std::string cache : {"kmalloc-512 ", "kmalloc-1k ", "kmalloc-2k ", "kmalloc-4k "}) {
        const auto at = text.find("\n" + cache);
        if (at != std::string::npos)
            sum += std::strtol(text.c_str() + at + 1 + cache.size(), nullptr, 10);
    }
    return sum;
}

struct Figure {
    std::string name;
    /// How much more it may be at the end: 0 for what can be counted.
    long limit;
    std::function<long()> now;
    std::vector<long> seen = {};
};

std::vector<Figure> figures(const std::string& qemu, int cycles) {
    const auto proc = "/proc/" + qemu;
    return {
        {"descriptors", 0, [] { return entries("/proc/self/fd"); }},
        {"threads", 0, [] { return entries("/proc/self/task"); }},
        {"memory (KiB)", 1024, [] { return number("/proc/self/status", "VmRSS:"); }},
        {"QEMU's descriptors", 0, [=] { return entries(proc + "/fd"); }},
        // QEMU 7.2 keeps some 13 KiB of each vGPU that was plugged (none of a function); that is
        // its own.
        {"QEMU's memory (KiB)", 1024 + 32L * cycles,
         [=] { return number(proc + "/status", "VmRSS:"); }},
        {"vGPUs", 0, [] { return entries("/sys/bus/mdev/devices"); }},
        {"IOMMU groups", 0, [] { return entries("/sys/kernel/iommu_groups"); }},
        {"VFIO groups", 0, [] { return entries("/sys/class/vfio"); }},
        {"VFIO nodes", 0, [] { return entries("/dev/vfio"); }},
        {"claims", 0, [] { return entries("/run/kata-vfio/claims"); }},
        // Whatever else runs has files and sockets too; files are counted by processor, in steps.
        {"kernel: open files", 64, [] { return number("/proc/sys/fs/file-nr", ""); }},
        {"kernel: sockets", 4, [] { return number("/proc/net/sockstat", "sockets: used"); }},
        {"kernel: slab objects", 1024, slab_objects},
        {"kernel: slab (KiB)", 4096, [] { return number("/proc/meminfo", "SUnreclaim:"); }},
        {"kernel: vmalloc (KiB)", 1024, [] { return number("/proc/meminfo", "VmallocUsed:"); }},
        {"users of module vfio", 0, [] { return number("/sys/module/vfio/refcnt", ""); }},
    };
}

void measure(std::vector<Figure>& all) {
    for (auto& figure : all)
        figure.seen.push_back(figure.now());
}

/// True when nothing is left over.
bool report(const std::vector<Figure>& all) {
    bool flat = true;
    std::printf("  %-24s %10s %10s %10s\n", "", "start", "half", "end");
    for (const auto& figure : all) {
        const auto grew = figure.seen.back() - figure.seen.front();
        const bool good = figure.limit == 0 ? grew == 0 : grew <= figure.limit;
        flat = flat && good;
        std::printf("  %-24s %10ld %10ld %10ld%s\n", figure.name.c_str(), figure.seen[0],
                    figure.seen[1], figure.seen[2], good ? "" : "  LEFT OVER");
    }
    return flat;
}

void must(const Ending& end, const std::string& what) {
    if (!end.ok())
        throw std::runtime_error(what + ": " + end.name + ": " + end.message);
}

std::string driver_of(const std::string& bdf) {
    const auto device = "/sys/bus/pci/devices/" + bdf;
    std::error_code ec;
    return fs::read_symlink(device + "/driver", ec).filename().native() + " " +
           read_file(device + "/driver_override").value_or("?");
}

/// Cycles of one device; prints its figures.
bool soak(LoadedPlugin& plugin, const std::string& device, int cycles, const std::string& qemu) {
    if (cycles < 2)
        return true;
    const bool function = device.find('@') == std::string::npos;
    const auto before = function ? driver_of(device) : "";
    std::vector<double> taken;
    const auto cycle = [&] {
        const auto began = std::chrono::steady_clock::now();
        const auto attached = plugin.attach(device);
        must(attached, "attach");
        must(plugin.detach(attached.id), "detach");
        taken.push_back(
            std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began)
                .count());
        if (function && driver_of(device) != before)
            throw std::runtime_error(device + " is left with " + driver_of(device));
    };
    for (int i = 0; i < std::min(warm_up, cycles / 2); ++i)
        cycle();
    taken.clear();
    auto all = figures(qemu, cycles);
    measure(all);
    for (int i = 0; i < cycles; ++i) {
        if (i == cycles / 2)
            measure(all);
        cycle();
    }
    measure(all);
    std::sort(taken.begin(), taken.end());
    std::printf("%d cycles of %s: median %.1f ms, slowest %.1f ms\n", cycles, device.c_str(),
                taken[taken.size() / 2], taken.back());
    const bool flat = report(all);
    std::fflush(stdout);
    return flat;
}

bool run(char** argv) {
    LoadedPlugin plugin(argv[1], argv[2]);
    must(plugin.open(argv[3], argv[4]), "open");
    const bool vgpu = soak(plugin, argv[6], std::atoi(argv[7]), argv[5]);
    const bool gpu = soak(plugin, argv[8], std::atoi(argv[9]), argv[5]);
    must(plugin.release(argv[3]), "release");
    return vgpu && gpu;
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 10) {
        std::fprintf(stderr,
                     "usage: %s LIBRARY CONFIG SANDBOX QMP_SOCKET QEMU_PID TYPE@PARENT "
                     "VGPU_CYCLES BDF GPU_CYCLES\n",
                     argv[0]);
        return 2;
    }
    try {
        return run(argv) ? 0 : 1;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "soak: %s\n", error.what());
        return 1;
    }
}
