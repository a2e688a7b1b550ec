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

std::optional<unsigned> small_number(std::string_view text) {
    const auto value = vfio::number(text);
    return value && *value <= 0xffffffff ? std::optional(static_cast<unsigned>(*value))
                                         : std::nullopt;
}

std::vector<std::string_view> words(std::string_view line) {
    auto all = split(line, ' ');
    std::erase_if(all, [](auto word) { return word.empty(); });
    return all;
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

std::vector<DeviceRule> parse_device_rules(std::string_view list) {
    std::vector<DeviceRule> rules;
    for (const auto line : split(list, '\n')) {
        const auto parts = words(line);
        if (parts.size() != 3 || parts[0].size() != 1)
            continue;
        const auto colon = parts[1].find(':');
        if (colon == parts[1].npos)
            continue;
        DeviceRule rule;
        rule.type = parts[0][0];
        const auto major = parts[1].substr(0, colon), minor = parts[1].substr(colon + 1);
        rule.major = small_number(major);
        rule.minor = small_number(minor);
        if ((!rule.major && major != "*") || (!rule.minor && minor != "*"))
            continue;
        rule.read_write =
            parts[2].find('r') != parts[2].npos && parts[2].find('w') != parts[2].npos;
        rules.push_back(rule);
    }
    return rules;
}

bool permits(const std::vector<DeviceRule>& rules, unsigned major, unsigned minor) {
    return std::ranges::any_of(rules, [&](const DeviceRule& rule) {
        return (rule.type == 'a' || rule.type == 'c') && rule.read_write &&
               (!rule.major || *rule.major == major) && (!rule.minor || *rule.minor == minor);
    });
}

std::optional<std::vector<DeviceRule>> read_device_rules(const vfio::HostRoot& root,
                                                         std::int64_t pid) {
    if (pid <= 0)
        return std::nullopt;
    const auto cgroups = read_file(root.proc(std::to_string(pid)) / "cgroup", 65536);
    if (!cgroups)
        return std::nullopt;
    for (const auto line : split(*cgroups, '\n')) { // "5:devices:/kata/s1"
        const auto parts = split(line, ':');
        if (parts.size() < 3)
            continue;
        const auto controllers = split(parts[1], ',');
        if (std::ranges::find(controllers, "devices") == controllers.end())
            continue;
        const auto path = line.substr(parts[0].size() + parts[1].size() + 2);
        const auto list = root.sys("fs/cgroup/devices") /
                          std::filesystem::path(path).relative_path() / "devices.list";
        const auto text = read_file(list, 1 << 20);
        return text ? std::optional(parse_device_rules(*text)) : std::nullopt;
    }
    return std::nullopt;
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

std::optional<Failure> node_out_of_reach(const vfio::HostRoot& root, std::int64_t pid,
                                         const std::string& node) {
    const auto rules = read_device_rules(root, pid);
    if (!rules)
        return std::nullopt;
    struct Needed {
        std::string path;
        unsigned major, minor;
    };
    std::vector<Needed> needed{{"/dev/vfio/vfio", 10, 196}}; // linux/miscdevice.h VFIO_MINOR
    const auto name = std::filesystem::path(node).filename().string();
    const auto numbers = vfio::attribute(root.sys("class/vfio") / name / "dev");
    const auto colon = numbers ? numbers->find(':') : std::string::npos;
    if (colon != std::string::npos) {
        const auto major = small_number(std::string_view(*numbers).substr(0, colon));
        const auto minor = small_number(std::string_view(*numbers).substr(colon + 1));
        if (major && minor)
            needed.push_back({node, *major, *minor});
    }
    for (const auto& each : needed) {
        if (permits(*rules, each.major, each.minor))
            continue;
        const auto rule =
            "c " + std::to_string(each.major) + ":" + std::to_string(each.minor) + " rw";
        return Failure(Errc::permission_denied, "QEMU's cgroup does not let it open " + each.path)
            .blocked_by("the device rules of pid " + std::to_string(pid) + ", none of which has " +
                        rule)
            .remedy("add \"" + rule +
                    "m\" to devices.allow of its cgroup, or let the runtime "
                    "add the device to the sandbox");
    }
    return std::nullopt;
}

} // namespace kata_vfio::plugin
