// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/numa.hpp"

#include "config/base/text.hpp"
#include "runtime-plugin/plugin/process.hpp"
#include "vfio/sysfs_read.hpp"

namespace kata_vfio::plugin {
namespace {

constexpr std::uint64_t most = 1023; // the kernel's MAX_NUMNODES

} // namespace

std::set<int> parse_list(std::string_view text) {
    std::set<int> numbers;
    for (const auto entry : split(trim(text), ',')) {
        const auto dash = entry.find('-');
        const auto first = vfio::number(entry.substr(0, dash));
        const auto last = dash == entry.npos ? first : vfio::number(entry.substr(dash + 1));
        if (!first || !last || *last > most)
            continue;
        for (auto number = *first; number <= *last; ++number)
            numbers.insert(static_cast<int>(number));
    }
    return numbers;
}

std::set<int> nodes_of(const vfio::HostRoot& root, std::int64_t pid) {
    if (pid <= 0)
        return {};
    const auto allowed = status_line(root, pid, "Mems_allowed_list");
    if (!allowed)
        return {};
    auto nodes = parse_list(*allowed);
    const auto online = vfio::attribute(root.sys("devices/system/node/online"));
    return online && nodes == parse_list(*online) ? std::set<int>{} : nodes;
}

} // namespace kata_vfio::plugin
