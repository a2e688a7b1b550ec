// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/check/requirement.hpp"

namespace kata_vfio::cli {
namespace {

using State = KernelConfig::State;

struct Option {
    const char* name;
    Needs needed_by;
    bool i915; ///< one way to vGPUs among others
};

// The walkthrough's list.
constexpr Option options[] = {
    {"CONFIG_VFIO", Needs::both, false},
    {"CONFIG_VFIO_IOMMU_TYPE1", Needs::both, false},
    {"CONFIG_VFIO_PCI", Needs::gvt_d, false},
    {"CONFIG_VFIO_MDEV", Needs::gvt_g, false},
    {"CONFIG_VFIO_MDEV_DEVICE", Needs::gvt_g, false},
    {"CONFIG_DRM_I915_GVT", Needs::gvt_g, true},
    {"CONFIG_DRM_I915_GVT_KVMGT", Needs::gvt_g, true},
};

Requirement judge(const HostFacts& facts, const Option& option) {
    Requirement line{std::string("kernel_option.") + option.name,
                     option.name,
                     option.needed_by,
                     true,
                     Verdict::unknown,
                     facts.config_source,
                     {}};
    if (!facts.config) {
        line.fix = "make the kernel's configuration readable: modprobe configs, or install "
                   "/boot/config-" +
                   (facts.release.empty() ? "RELEASE" : facts.release);
        return line;
    }
    switch (facts.config->state(option.name)) {
    case State::builtin:
        line.verdict = Verdict::pass;
        line.detail = "=y in " + facts.config_source;
        return line;
    case State::module:
        line.verdict = Verdict::pass;
        line.detail = "=m in " + facts.config_source;
        return line;
    case State::off:
        line.detail = "is not set in " + facts.config_source;
        break;
    case State::absent:
        line.detail = "not in " + facts.config_source;
        break;
    }
    line.verdict = Verdict::fail;
    line.fix = std::string("use a kernel built with ") + option.name + "=m";
    if (option.i915)
        spare_i915(facts, line);
    return line;
}

/// VFIO_MDEV_DEVICE depended on VFIO_MDEV alone, so a kernel that has the one and no line about the
/// other is one that no longer knows it: its code is in mdev itself there. Without VFIO_MDEV there
/// is no line in either case.
void forgive_mdev_device(const KernelConfig& config, Requirement& line) {
    if (config.state("CONFIG_VFIO_MDEV_DEVICE") != State::absent)
        return;
    const auto mdev = config.state("CONFIG_VFIO_MDEV");
    const bool on = mdev == State::builtin || mdev == State::module;
    line.verdict = on ? Verdict::pass : Verdict::unknown;
    line.detail = on ? "newer kernels have no such option: it is part of CONFIG_VFIO_MDEV"
                     : "can't be told without CONFIG_VFIO_MDEV (newer kernels have no such option)";
    line.fix.clear();
}

Requirement iommu_on(const HostFacts& facts) {
    Requirement line{"boot.intel_iommu",
                     "intel_iommu=on",
                     Needs::both,
                     true,
                     Verdict::unknown,
                     "/proc/cmdline can't be read",
                     {}};
    if (!facts.command_line)
        return line;
    const auto& boot = *facts.command_line;
    const std::string on_by_default = "not on the kernel command line, but the IOMMU works: " +
                                      std::to_string(facts.iommu_groups) + " groups";
    line.verdict = Verdict::fail;
    line.detail = "not on the kernel command line";
    line.fix = "add intel_iommu=on to the kernel command line (GRUB_CMDLINE_LINUX in "
               "/etc/default/grub, then update-grub) and reboot";
    if (boot.has_word("intel_iommu", "on")) {
        line.verdict = Verdict::pass;
        line.detail = "on the kernel command line";
    } else if (facts.cpu.amd()) {
        const bool off = boot.has_word("amd_iommu", "off") || boot.has_word("iommu", "off");
        line.verdict = off ? Verdict::fail : Verdict::pass;
        line.detail = off ? "the kernel command line turns the IOMMU off"
                          : "an AMD host: its IOMMU is on without an option (amd_iommu)";
        line.fix =
            off ? "take amd_iommu=off and iommu=off off the kernel command line and reboot" : "";
    } else if (facts.iommu_groups > 0) {
        line.verdict = Verdict::pass;
        line.detail = on_by_default;
    }
    if (line.verdict == Verdict::pass)
        line.fix.clear();
    return line;
}

bool truth(const std::string& value) {
    return value == "1" || value == "y" || value == "Y" || value == "on" || value.empty();
}

Requirement gvt_on(const HostFacts& facts) {
    Requirement line{"boot.enable_gvt",
                     "i915.enable_gvt=1",
                     Needs::gvt_g,
                     true,
                     Verdict::unknown,
                     "/proc/cmdline can't be read",
                     {}};
    if (facts.gvt_parameter) {
        line.verdict = *facts.gvt_parameter ? Verdict::pass : Verdict::fail;
        line.detail =
            std::string("i915 runs with enable_gvt=") + (*facts.gvt_parameter ? "1" : "0");
    } else if (facts.command_line) {
        const auto value = facts.command_line->value("i915.enable_gvt");
        line.verdict = value && truth(*value) ? Verdict::pass : Verdict::fail;
        line.detail = !value ? "not on the kernel command line"
                             : "on the kernel command line: i915.enable_gvt=" + *value;
    }
    if (line.verdict == Verdict::pass)
        return line;
    line.fix = "add i915.enable_gvt=1 to the kernel command line and reboot";
    spare_i915(facts, line);
    return line;
}

} // namespace

std::vector<Requirement> kernel_option_requirements(const HostFacts& facts) {
    std::vector<Requirement> lines;
    for (const auto& option : options) {
        lines.push_back(judge(facts, option));
        if (facts.config && std::string_view(option.name) == "CONFIG_VFIO_MDEV_DEVICE")
            forgive_mdev_device(*facts.config, lines.back());
    }
    return lines;
}

std::vector<Requirement> boot_requirements(const HostFacts& facts) {
    return {iommu_on(facts), gvt_on(facts)};
}

} // namespace kata_vfio::cli
