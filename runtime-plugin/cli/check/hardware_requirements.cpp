// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/check/requirement.hpp"

#include <algorithm>

namespace kata_vfio::cli {
namespace {

constexpr int oldest = 5;      // the walkthrough: 5th generation Core, Xeon E3 v4
constexpr int newest_gvt = 10; // Comet Lake

bool intel_gpu_or_none(const HostFacts& facts) {
    return facts.gpus.empty() ||
           std::any_of(facts.gpus.begin(), facts.gpus.end(),
                       [](const auto& gpu) { return gpu.ids.starts_with("8086:"); });
}

Requirement generation(const HostFacts& facts) {
    Requirement line{"cpu.generation",
                     "Intel Core 5th generation or Xeon E3 v4, or newer",
                     Needs::both,
                     true,
                     Verdict::unknown,
                     facts.cpu.model,
                     {}};
    if (facts.cpu.model.empty()) {
        line.detail = "/proc/cpuinfo names no model";
        return line;
    }
    if (!facts.cpu.intel()) {
        line.detail += ": not an Intel CPU, so this rule about its graphics says nothing";
        return line;
    }
    const auto found = cpu_generation(facts.cpu.model);
    if (!found) {
        line.detail += ": the name does not tell a generation with processor graphics";
        return line;
    }
    line.detail += ": generation " + std::to_string(found->number);
    line.verdict = found->number >= oldest ? Verdict::pass : Verdict::fail;
    if (line.verdict == Verdict::fail) {
        line.fix = "use a host with a newer CPU; its own graphics are too old";
        if (!intel_gpu_or_none(facts))
            not_needed(line, "the GPU is not the CPU's");
    }
    return line;
}

/// i915 knows GVT-g on Broadwell to Comet Lake only.
/// Source: kernel drivers/gpu/drm/i915/intel_gvt.c is_supported_device().
Requirement gvt_generation(const HostFacts& facts) {
    Requirement line{"cpu.gvt_g_generation",
                     "graphics that i915's GVT-g drives (5th to 10th "
                     "generation)",
                     Needs::gvt_g,
                     true,
                     Verdict::unknown,
                     facts.cpu.model,
                     {}};
    const auto found = facts.cpu.intel() ? cpu_generation(facts.cpu.model) : std::nullopt;
    if (!found) {
        spare_i915(facts, line);
        return line;
    }
    const bool known = found->number >= oldest && found->number <= newest_gvt && !found->ice_lake;
    line.verdict = known ? Verdict::pass : Verdict::fail;
    if (known)
        return line;
    line.fix = "use GVT-d here; newer Intel graphics share by SR-IOV instead of GVT-g";
    if (facts.offers_vgpus())
        not_needed(line, other_means);
    return line;
}

} // namespace

std::vector<Requirement> hardware_requirements(const HostFacts& facts) {
    return {generation(facts), gvt_generation(facts)};
}

} // namespace kata_vfio::cli
