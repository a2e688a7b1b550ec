// SPDX-License-Identifier: Apache-2.0
#include "config/base/text.hpp"
#include "runtime-plugin/cli/check/requirement.hpp"

#include <algorithm>

namespace kata_vfio::cli {
namespace {

struct Module {
    const char* name;
    const char* option; ///< that it is built by
    Needs needed_by;
    bool i915;
};

constexpr Module modules[] = {
    {"vfio", "CONFIG_VFIO", Needs::both, false},
    {"vfio_iommu_type1", "CONFIG_VFIO_IOMMU_TYPE1", Needs::both, false},
    {"kvm", "CONFIG_KVM", Needs::both, false},
    {"vfio_pci", "CONFIG_VFIO_PCI", Needs::gvt_d, false},
    {"mdev", "CONFIG_VFIO_MDEV", Needs::gvt_g, false},
    {"kvmgt", "CONFIG_DRM_I915_GVT_KVMGT", Needs::gvt_g, true},
};

Requirement judge(const HostFacts& facts, const Module& module) {
    Requirement line{std::string("module.") + module.name,
                     std::string("module ") + module.name,
                     module.needed_by,
                     true,
                     Verdict::pass,
                     "loaded or built in",
                     {}};
    if (facts.has_module(module.name))
        return line;
    // One without parameters leaves no trace in /sys/module.
    if (facts.config && facts.config->state(module.option) == KernelConfig::State::builtin) {
        line.detail = "built in";
        return line;
    }
    line.verdict = Verdict::fail;
    const auto load = std::string("modprobe ") + module.name;
    line.fix = fix_unless_off(facts, module.option, load);
    line.detail =
        line.fix == load ? "neither loaded nor built in" : "this kernel was built without it";
    if (module.i915)
        spare_i915(facts, line);
    return line;
}

Requirement node(const char* id, const char* path, bool there, const std::string& fix) {
    return {id,
            path,
            Needs::both,
            true,
            there ? Verdict::pass : Verdict::fail,
            there ? "there" : "not there",
            there ? std::string() : fix};
}

Requirement groups(const HostFacts& facts) {
    const bool any = facts.iommu_groups > 0;
    return {"iommu.groups",
            "IOMMU groups",
            Needs::both,
            true,
            any ? Verdict::pass : Verdict::fail,
            any ? std::to_string(facts.iommu_groups) + " in /sys/kernel/iommu_groups"
                : "none in /sys/kernel/iommu_groups",
            any               ? ""
            : facts.cpu.amd() ? "turn AMD-Vi (IOMMU) on in the firmware"
                              : "turn VT-d on in the firmware, and boot with intel_iommu=on"};
}

bool viable(const HostFacts::Gpu& gpu) {
    return gpu.iommu_group && gpu.blockers.empty();
}

Requirement gpu_line(const HostFacts::Gpu& gpu) {
    Requirement line{"gpu." + gpu.address,
                     "GPU " + gpu.address,
                     Needs::gvt_d,
                     false,
                     viable(gpu) ? Verdict::pass : Verdict::fail,
                     "[" + gpu.ids + "] on " + (gpu.driver.empty() ? "no driver" : gpu.driver),
                     {}};
    if (!gpu.iommu_group) {
        line.detail += ", in no IOMMU group";
        line.fix = "turn the IOMMU on";
        return line;
    }
    line.detail += ", IOMMU group " + std::to_string(*gpu.iommu_group);
    if (!gpu.blockers.empty()) {
        line.detail += ", not viable: " + join_words(gpu.blockers);
        line.fix = "bind those to vfio-pci too (kata-vfio bind), or unbind them";
    }
    return line;
}

std::vector<Requirement> gpu_lines(const HostFacts& facts) {
    const auto count = std::count_if(facts.gpus.begin(), facts.gpus.end(), viable);
    Requirement any{"gpu.viable",
                    "a GPU whose IOMMU group is viable",
                    Needs::gvt_d,
                    true,
                    count > 0 ? Verdict::pass : Verdict::fail,
                    std::to_string(count) + " of " + std::to_string(facts.gpus.size()) +
                        " display functions",
                    {}};
    if (count == 0)
        any.fix = facts.gpus.empty()
                      ? "there is no display function on the PCI bus: is the GPU turned on in the "
                        "firmware?"
                      : "see each GPU's line";
    std::vector<Requirement> lines{std::move(any)};
    for (const auto& gpu : facts.gpus)
        lines.push_back(gpu_line(gpu));
    return lines;
}

Requirement parents(const HostFacts& facts) {
    const bool any = facts.offers_vgpus();
    Requirement line{"mdev.parents",
                     "a device that makes vGPUs",
                     Needs::gvt_g,
                     true,
                     any ? Verdict::pass : Verdict::fail,
                     "none in /sys/class/mdev_bus",
                     {}};
    std::vector<std::string> names;
    for (const auto& parent : facts.parents)
        names.push_back(parent.name + (parent.driver.empty() ? "" : " (" + parent.driver + ")") +
                        " with " + std::to_string(parent.types) + " types");
    if (!names.empty())
        line.detail = join_words(names);
    if (any)
        return line;
    if (why_no_i915(facts).empty())
        line.fix = "boot with i915.enable_gvt=1 and modprobe kvmgt; the GPU must be on i915, not "
                   "on vfio-pci";
    else
        line.fix = std::string("GVT-g needs an Intel GPU of the 5th to 10th Core generation, and "
                               "none is here") +
                   (facts.gpus.empty() && facts.cpu.intel()
                        ? " (is the processor's turned on in the firmware?)"
                        : "") +
                   "; another device needs the driver that makes its vGPUs";
    return line;
}

} // namespace

std::vector<Requirement> module_requirements(const HostFacts& facts) {
    std::vector<Requirement> lines;
    for (const auto& module : modules)
        lines.push_back(judge(facts, module));
    return lines;
}

std::vector<Requirement> device_requirements(const HostFacts& facts) {
    std::vector<Requirement> lines{
        node("node.vfio", "/dev/vfio/vfio", facts.vfio_container,
             fix_unless_off(facts, "CONFIG_VFIO", "modprobe vfio")),
        node("node.kvm", "/dev/kvm", facts.kvm,
             fix_unless_off(facts, "CONFIG_KVM",
                            facts.cpu.virtualization
                                ? "modprobe kvm_intel (or kvm_amd)"
                                : "turn virtualization (VT-x, SVM) on in the firmware; then "
                                  "modprobe kvm_intel or kvm_amd")),
        groups(facts)};
    for (auto& line : gpu_lines(facts))
        lines.push_back(std::move(line));
    lines.push_back(parents(facts));
    return lines;
}

} // namespace kata_vfio::cli
