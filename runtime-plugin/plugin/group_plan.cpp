// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/group_plan.hpp"

#include <algorithm>
#include <tuple>

namespace kata_vfio::plugin {
namespace {

bool same_slot(const vfio::PciAddress& a, const vfio::PciAddress& b) {
    return std::tie(a.domain, a.bus, a.device) == std::tie(b.domain, b.bus, b.device);
}

bool is_audio(const vfio::PciFunction& function) {
    return function.class_code >> 16 == 0x04; // multimedia: 0401 audio, 0403 HD audio
}

} // namespace

TakeSiblings take_siblings_of(std::string_view text) {
    if (text == "audio")
        return TakeSiblings::audio;
    return text == "all" ? TakeSiblings::all : TakeSiblings::no;
}

std::vector<vfio::PciAddress> plan_group(const std::vector<vfio::PciFunction>& members,
                                         const std::vector<vfio::PciAddress>& asked,
                                         TakeSiblings siblings) {
    const auto is_asked = [&](const vfio::PciFunction& member) {
        return std::ranges::find(asked, member.address) != asked.end();
    };
    const auto beside_a_gpu = [&](const vfio::PciFunction& sibling) {
        return std::ranges::any_of(members, [&](const auto& member) {
            return is_asked(member) && member.is_display() &&
                   same_slot(member.address, sibling.address);
        });
    };
    std::vector<vfio::PciAddress> taken;
    for (const auto& member : members) {
        const bool wanted =
            is_asked(member) || siblings == TakeSiblings::all ||
            (siblings == TakeSiblings::audio && is_audio(member) && beside_a_gpu(member));
        if (wanted && !member.is_bridge())
            taken.push_back(member.address);
    }
    std::ranges::sort(taken, {}, [](const auto& address) { return address.text(); });
    return taken;
}

std::vector<std::vector<SlotMate>> plan_slots(std::vector<vfio::PciAddress> taken) {
    std::ranges::sort(taken, {}, [](const auto& address) { return address.text(); });
    std::vector<std::vector<SlotMate>> sets;
    for (const auto& address : taken) {
        if (sets.empty() || !same_slot(sets.back().front().address, address))
            sets.emplace_back();
        sets.back().push_back({address, 0});
    }
    for (auto& set : sets) {
        const unsigned first = set.front().address.function;
        for (auto& mate : set)
            mate.function = mate.address.function - first;
        std::ranges::reverse(set);
    }
    return sets;
}

} // namespace kata_vfio::plugin
