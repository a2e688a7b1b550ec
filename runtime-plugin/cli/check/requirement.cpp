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
