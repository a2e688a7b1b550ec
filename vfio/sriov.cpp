// SPDX-License-Identifier: Apache-2.0
#include "vfio/sriov.hpp"

#include "config/base/failure.hpp"
#include "config/base/file.hpp"
#include "config/base/text.hpp"
#include "vfio/host_write.hpp"
#include "vfio/pci_function.hpp"
#include "vfio/sysfs_read.hpp"
#include "vfio/wait_path.hpp"

#include <fnmatch.h>

#include <algorithm>

namespace kata_vfio::vfio {
namespace fs = std::filesystem;
namespace {

constexpr unsigned most = 0xffff; // sriov_totalvfs is a 16-bit register

unsigned small(const fs::path& file) {
    const auto value = number_attribute(file);
    return value && *value <= most ? static_cast<unsigned>(*value) : 0;
}

std::size_t wildcards(std::string_view pattern) {
    return static_cast<std::size_t>(std::ranges::count(pattern, '*'));
}

} // namespace

std::optional<PciAddress> PhysicalFunction::function(unsigned index) const {
    if (index >= total)
        return std::nullopt;
    const auto id =
        (unsigned{address.bus} << 8 | unsigned{address.device} << 3 | unsigned{address.function}) +
        offset + stride * index;
    if (id > 0xffff)
        return std::nullopt;
    PciAddress made = address;
    made.bus = static_cast<std::uint8_t>(id >> 8);
    made.device = static_cast<std::uint8_t>(id >> 3 & 0x1f);
    made.function = static_cast<std::uint8_t>(id & 7);
    return made;
}

std::optional<PhysicalFunction> read_physical_function(const HostRoot& root,
                                                       const PciAddress& address) {
    const auto dir = function_path(root, address);
    PhysicalFunction physical;
    physical.address = address;
    physical.total = small(dir / "sriov_totalvfs");
    if (physical.total == 0)
        return std::nullopt;
    physical.offset = small(dir / "sriov_offset");
    physical.stride = small(dir / "sriov_stride");
    // By their links, not by sriov_numvfs: those are there only with the functions behind them.
    for (unsigned i = 0; i < physical.total; ++i) {
        const auto name = link_name(dir / ("virtfn" + std::to_string(i)));
        const auto function = name ? PciAddress::parse(*name) : std::nullopt;
        if (!function)
            break;
        physical.functions.push_back(*function);
    }
    if (const auto node = number_attribute(dir / "numa_node"); node && *node < 1024)
        physical.numa_node = static_cast<int>(*node);
    return physical;
}

std::vector<PhysicalFunction> list_physical_functions(const HostRoot& root) {
    std::vector<PhysicalFunction> found;
    for (const auto& name : names_in(root.sys("bus/pci/devices")))
        if (const auto address = PciAddress::parse(name))
            if (auto physical = read_physical_function(root, *address))
                found.push_back(std::move(*physical));
    return found;
}

void set_virtual_functions(const HostRoot& root, const PciAddress& physical, unsigned count,
                           Deadline deadline) {
    const auto dir = function_path(root, physical);
    const auto there = [&] {
        const auto now = read_physical_function(root, physical);
        return now ? now->functions.size() : 0;
    };
    const auto reached = [&] { return count == 0 ? there() == 0 : there() >= count; };
    if (reached())
        return;
    const auto file = dir / "sriov_numvfs";
    const auto result = host_write(file, std::to_string(count) + "\n", deadline);
    const auto what = count == 0
                          ? "the virtual functions of " + physical.text()
                          : std::to_string(count) + " virtual functions of " + physical.text();
    if (result.outcome == HostWriteOutcome::failed)
        throw host_failure(result.error, "can't " +
                                             std::string(count == 0 ? "disable " : "enable ") +
                                             what + " (" + root.told(file).string() + ")");
    if (result.outcome == HostWriteOutcome::pending && count == 0)
        throw Failure(Errc::removal_pending, what + " are still in use")
            .remedy("they go when their last user lets go");
    if (result.outcome == HostWriteOutcome::pending ||
        !settled(dir, reached, deadline, root.watches()))
        throw Failure(Errc::host_timeout,
                      what + (count == 0 ? " did not go" : " did not appear") + " in time")
            .remedy("see the kernel log");
}

std::vector<std::string> vfio_variants(std::string_view modules_alias, std::string_view modalias) {
    // "alias vfio_pci:v00008086d0000E20Bsv*sd*bc*sc*i* xe_vfio_pci"
    constexpr std::string_view prefix = "alias vfio_pci:", pci = "pci:";
    if (!modalias.starts_with(pci))
        return {};
    const std::string wanted(modalias.substr(pci.size()));
    struct Match {
        std::size_t wild;
        std::string module;
    };
    std::vector<Match> matches;
    for (auto line : split(modules_alias, '\n')) {
        if (!line.starts_with(prefix))
            continue;
        line.remove_prefix(prefix.size());
        const auto blank = line.find(' ');
        if (blank == line.npos)
            continue;
        const std::string pattern(line.substr(0, blank));
        if (::fnmatch(pattern.c_str(), wanted.c_str(), 0) == 0)
            matches.push_back({wildcards(pattern), std::string(trim(line.substr(blank + 1)))});
    }
    std::ranges::stable_sort(matches, {}, &Match::wild);
    std::vector<std::string> modules;
    for (auto& match : matches)
        modules.push_back(std::move(match.module));
    return modules;
}

std::string vfio_driver_for(const HostRoot& root, std::string_view modalias) {
    const auto release = attribute(root.proc("sys/kernel/osrelease"));
    const auto aliases = release
                             ? read_file(root.root() / "lib/modules" / *release / "modules.alias")
                             : std::nullopt;
    if (aliases)
        for (const auto& module : vfio_variants(*aliases, modalias)) {
            // A module's name has underscores where its driver's mostly has hyphens.
            auto hyphens = module;
            std::ranges::replace(hyphens, '_', '-');
            for (const auto& driver : {hyphens, module})
                if (std::error_code ec; fs::exists(root.sys("bus/pci/drivers") / driver, ec))
                    return driver;
        }
    return "vfio-pci";
}

} // namespace kata_vfio::vfio
