// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/check/requirement.hpp"

#include <algorithm>
#include <iterator>

namespace kata_vfio::cli {

std::string_view name(Verdict verdict) noexcept {
    switch (verdict) {
    case Verdict::pass:
        return "pass";
    case Verdict::fail:
        return "fail";
    case Verdict::unknown:
        return "unknown";
    }
    return "unknown";
}

std::ostream& operator<<(std::ostream& out, Verdict verdict) {
    return out << name(verdict);
}

void not_needed(Requirement& line, std::string_view because) {
    line.required = false;
    line.detail += " (not needed: " + std::string(because) + ")";
    line.fix.clear();
}

std::string why_no_i915(const HostFacts& facts) {
    if (!facts.cpu.vendor.empty() && !facts.cpu.intel())
        return "not an Intel CPU, whose graphics GVT-g shares";
    if (facts.gpus.empty())
        return "no GPU on the PCI bus";
    const bool intel = std::any_of(facts.gpus.begin(), facts.gpus.end(),
                                   [](const auto& gpu) { return gpu.ids.starts_with("8086:"); });
    return intel ? "" : "no Intel GPU on this host";
}

void spare_i915(const HostFacts& facts, Requirement& line) {
    if (line.verdict == Verdict::pass)
        return;
    if (facts.offers_vgpus() && line.verdict == Verdict::fail)
        return not_needed(line, other_means);
    const auto why = why_no_i915(facts);
    if (why.empty())
        return;
    line.verdict = Verdict::unknown;
    line.required = false;
    line.detail += (line.detail.empty() ? "" : "; ") + std::string("not applicable: ") + why;
    line.fix.clear();
}

std::string fix_unless_off(const HostFacts& facts, const char* option, std::string fix) {
    if (!facts.config)
        return fix;
    const auto state = facts.config->state(option);
    if (state == KernelConfig::State::builtin || state == KernelConfig::State::module)
        return fix;
    return "a kernel with " + std::string(option) + " is needed: modprobe has nothing to load here";
}

std::vector<Requirement> evaluate(const HostFacts& facts) {
    std::vector<Requirement> all;
    for (auto rule : {hardware_requirements, kernel_option_requirements, boot_requirements,
                      module_requirements, device_requirements}) {
        auto group = rule(facts);
        std::move(group.begin(), group.end(), std::back_inserter(all));
    }
    return all;
}

bool ready(const std::vector<Requirement>& requirements, Needs mode) {
    return std::none_of(requirements.begin(), requirements.end(), [&](const auto& each) {
        const bool concerns = each.needed_by == Needs::both || each.needed_by == mode;
        return concerns && each.required && each.verdict == Verdict::fail;
    });
}

} // namespace kata_vfio::cli
