// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/limits.hpp"

#include "config/base/file.hpp"
#include "config/base/text.hpp"
#include "runtime-plugin/plugin/process.hpp"
#include "vfio/sysfs_read.hpp"

#include <algorithm>

namespace kata_vfio::plugin {
namespace {

constexpr std::uint64_t mib = std::uint64_t{1} << 20;

/// "2048 MiB", "12 KiB" below one.
std::string size_text(std::uint64_t bytes) {
    return bytes >= mib || bytes == 0 ? std::to_string(bytes / mib) + " MiB"
                                      : std::to_string(bytes / 1024) + " KiB";
}

std::optional<Failure> memlock_in_the_way(const ProcessLimits& process,
                                          const qemu::GuestFacts& guest, bool pinned) {
    if (pinned || process.may_exceed || !process.memlock || !guest.memory ||
        *process.memlock >= *guest.memory)
        return std::nullopt;
    return Failure(Errc::limit_too_low, "VFIO pins all of the guest's " + size_text(*guest.memory) +
                                            ", and QEMU may lock " + size_text(*process.memlock))
        .blocked_by("RLIMIT_MEMLOCK of pid " + std::to_string(process.pid))
        .remedy("raise it: prlimit --pid " + std::to_string(process.pid) +
                " --memlock=" + std::to_string(*guest.memory + 64 * mib) +
                ", or LimitMEMLOCK=infinity for the service that starts QEMU");
}

std::optional<Failure> discard_in_the_way(const qemu::GuestFacts& guest, bool pinned,
                                          std::uint64_t dma_entries) {
    // Once it is pinned QEMU inhibits the balloon; what that had given back to the host is taken
    // again all at once.
    if (!pinned && guest.balloon && guest.memory && *guest.balloon < *guest.memory)
        return Failure(Errc::limit_too_low, "the guest's balloon holds " +
                                                size_text(*guest.memory - *guest.balloon) +
                                                " of its " + size_text(*guest.memory) +
                                                ", and VFIO needs all of it in place")
            .remedy("deflate it first: the QMP command balloon with value=" +
                    std::to_string(*guest.memory));
    for (const auto& memory : guest.virtio_mem) {
        if (memory.block_size == 0 || memory.max_size / memory.block_size <= dma_entries)
            continue;
        return Failure(Errc::limit_too_low,
                       "virtio-mem " + memory.id + " has " +
                           std::to_string(memory.max_size / memory.block_size) + " blocks of " +
                           size_text(memory.block_size) + ", and VFIO maps at most " +
                           std::to_string(dma_entries))
            .remedy("give it a block-size of at least " +
                    size_text(memory.max_size / dma_entries + 1) +
                    ", or raise dma_entry_limit of the module vfio_iommu_type1");
    }
    return std::nullopt;
}

std::optional<Failure> window_in_the_way(const qemu::GuestFacts& guest,
                                         const std::vector<vfio::PciFunction>& functions) {
    std::vector<qemu::WantedBar> bars;
    for (const auto& function : functions)
        for (const auto& bar : function.bars)
            if (!bar.io && bar.index < 6) // the ROM is only mapped while it is read
                bars.push_back({bar.index, bar.size, bar.is_64bit});
    const auto misfit = qemu::find_misfit(guest.window, bars);
    if (!misfit)
        return std::nullopt;
    const auto& bar = misfit->bar;
    return Failure(Errc::limit_too_low,
                   "BAR " + std::to_string(bar.index) + " takes " + size_text(bar.size) +
                       ", and the largest gap left for it below the root bus is " +
                       size_text(misfit->largest_gap))
        .remedy(bar.is_64bit
                    ? "start QEMU with a larger 64-bit window (-global "
                      "i440FX-pcihost.pci-hole64-size=" +
                          std::to_string(std::max<std::uint64_t>(bar.size * 2 >> 30, 4)) +
                          "G), or detach what has the room"
                    : "start the guest with less memory below 4 GB (-machine pc,max-ram-below-4g), "
                      "or detach what has the room");
}

} // namespace

std::optional<std::uint64_t> parse_memlock(std::string_view limits) {
    constexpr std::string_view title = "Max locked memory";
    for (const auto line : split(limits, '\n')) {
        if (!line.starts_with(title))
            continue;
        const auto figures = words(line.substr(title.size()));
        return figures.empty() ? std::nullopt : vfio::number(figures.front());
    }
    return std::nullopt;
}

bool has_ipc_lock(std::string_view capabilities) {
    constexpr unsigned cap_ipc_lock = 14; // linux/capability.h
    const auto set = vfio::number(trim(capabilities), 16);
    return set && (*set >> cap_ipc_lock & 1) != 0;
}

ProcessLimits read_limits(const vfio::HostRoot& root, std::int64_t pid) {
    ProcessLimits limits;
    limits.pid = pid;
    if (pid <= 0)
        return limits;
    if (const auto text = read_file(root.proc(std::to_string(pid)) / "limits", 65536))
        limits.memlock = parse_memlock(*text);
    limits.may_exceed = has_ipc_lock(status_line(root, pid, "CapEff").value_or(""));
    return limits;
}

std::optional<Failure> limit_in_the_way(const ProcessLimits& process, const qemu::GuestFacts& guest,
                                        const std::vector<vfio::PciFunction>& functions,
                                        bool pinned, std::uint64_t dma_entries) {
    if (functions.empty())
        return std::nullopt;
    if (auto failure = memlock_in_the_way(process, guest, pinned))
        return failure;
    if (auto failure = discard_in_the_way(guest, pinned, dma_entries))
        return failure;
    return window_in_the_way(guest, functions);
}

} // namespace kata_vfio::plugin
