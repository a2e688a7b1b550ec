// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/check/requirement.hpp"

#include "runtime-plugin/cli/check/check.hpp"

#include <boost/json.hpp>
#include <gmock/gmock.h>

namespace kata_vfio::cli {
namespace {

using testing::HasSubstr;

/// The walkthrough's host, with everything as it should be.
HostFacts good_host() {
    HostFacts facts;
    facts.release = "5.4.0";
    facts.config = KernelConfig::parse("CONFIG_VFIO=m\nCONFIG_VFIO_IOMMU_TYPE1=m\n"
                                       "CONFIG_VFIO_PCI=m\nCONFIG_VFIO_MDEV=m\n"
                                       "CONFIG_VFIO_MDEV_DEVICE=m\nCONFIG_DRM_I915_GVT=y\n"
                                       "CONFIG_KVM=m\n"
                                       "CONFIG_DRM_I915_GVT_KVMGT=m\n");
    facts.config_source = "/boot/config-5.4.0";
    facts.command_line = KernelCommandLine::parse("ro intel_iommu=on i915.enable_gvt=1");
    facts.cpu = {"GenuineIntel", "Intel(R) Core(TM) i7-5500U CPU @ 2.40GHz", true};
    facts.modules = {"vfio", "vfio_iommu_type1", "vfio_pci", "kvm", "mdev", "kvmgt"};
    facts.vfio_container = facts.kvm = true;
    facts.iommu_groups = 12;
    facts.gpus = {{"0000:00:02.0", "8086:1616", "i915", 1, {}}};
    facts.parents = {{"0000:00:02.0", "i915", 4}};
    return facts;
}

Requirement line(const HostFacts& facts, const std::string& id) {
    for (auto& each : evaluate(facts))
        if (each.id == id)
            return each;
    ADD_FAILURE() << "no line " << id;
    return {};
}

bool gvt_d(const HostFacts& facts) {
    return ready(evaluate(facts), Needs::gvt_d);
}
bool gvt_g(const HostFacts& facts) {
    return ready(evaluate(facts), Needs::gvt_g);
}

TEST(Requirements, TheWalkthroughsHostIsReadyForBoth) {
    const auto lines = evaluate(good_host());
    for (const auto& each : lines)
        EXPECT_EQ(each.verdict, Verdict::pass) << each.id << ": " << each.detail;
    EXPECT_TRUE(ready(lines, Needs::gvt_d));
    EXPECT_TRUE(ready(lines, Needs::gvt_g));
    EXPECT_THAT(check_text(lines, false), HasSubstr("\nGVT-d: ready\nGVT-g: ready\n"));
}

// Each single thing taken away must be noticed, named, and told how to mend.
TEST(Requirements, EachKernelOption) {
    for (const auto* option :
         {"CONFIG_VFIO", "CONFIG_VFIO_IOMMU_TYPE1", "CONFIG_VFIO_PCI", "CONFIG_VFIO_MDEV",
          "CONFIG_DRM_I915_GVT", "CONFIG_DRM_I915_GVT_KVMGT"}) {
        auto facts = good_host();
        facts.parents.clear(); // they would prove i915's options wrong
        std::string text = "CONFIG_OTHER=y\n";
        for (const auto* other :
             {"CONFIG_VFIO", "CONFIG_VFIO_IOMMU_TYPE1", "CONFIG_VFIO_PCI", "CONFIG_VFIO_MDEV",
              "CONFIG_DRM_I915_GVT", "CONFIG_DRM_I915_GVT_KVMGT"})
            text += std::string(other) == option ? "# " + std::string(other) + " is not set\n"
                                                 : std::string(other) + "=m\n";
        facts.config = KernelConfig::parse(text);
        const auto found = line(facts, std::string("kernel_option.") + option);
        EXPECT_EQ(found.verdict, Verdict::fail) << option;
        EXPECT_TRUE(found.required) << option;
        EXPECT_EQ(found.detail, "is not set in /boot/config-5.4.0");
        EXPECT_THAT(found.fix, HasSubstr(std::string(option) + "=m"));
    }
}

TEST(Requirements, AnUnreadableKernelConfigurationIsUnknownNotAFailure) {
    auto facts = good_host();
    facts.config.reset();
    facts.config_source = "neither /proc/config.gz nor /boot/config-5.4.0 can be read";
    const auto found = line(facts, "kernel_option.CONFIG_VFIO");
    EXPECT_EQ(found.verdict, Verdict::unknown);
    EXPECT_EQ(found.detail, facts.config_source);
    EXPECT_THAT(found.fix, HasSubstr("/boot/config-5.4.0"));
    EXPECT_TRUE(gvt_d(facts));
    EXPECT_THAT(check_text(evaluate(facts), false), HasSubstr("GVT-d: ready, 3 unknown\n"));
}

TEST(Requirements, MdevDeviceWasDroppedFromNewerKernels) {
    auto facts = good_host();
    facts.config = KernelConfig::parse("CONFIG_VFIO_MDEV=m\n");
    auto found = line(facts, "kernel_option.CONFIG_VFIO_MDEV_DEVICE");
    EXPECT_EQ(found.verdict, Verdict::pass);
    EXPECT_THAT(found.detail, HasSubstr("newer kernels have no such option"));
    EXPECT_EQ(found.fix, "");

    facts.config =
        KernelConfig::parse("CONFIG_VFIO_MDEV=m\n# CONFIG_VFIO_MDEV_DEVICE is not set\n");
    found = line(facts, "kernel_option.CONFIG_VFIO_MDEV_DEVICE");
    EXPECT_EQ(found.verdict, Verdict::fail) << "an older kernel that has it, turned off";

    facts.config = KernelConfig::parse("# CONFIG_VFIO_MDEV is not set\n");
    EXPECT_EQ(line(facts, "kernel_option.CONFIG_VFIO_MDEV_DEVICE").verdict, Verdict::unknown);
    EXPECT_EQ(line(facts, "kernel_option.CONFIG_VFIO_MDEV").verdict, Verdict::fail);
}

TEST(Requirements, AnAmdHostIsNotAdvisedIntelsOption) {
    auto facts = good_host();
    facts.iommu_groups = 0;
    EXPECT_THAT(line(facts, "iommu.groups").fix, HasSubstr("intel_iommu=on"));
    facts.cpu = Cpu();
    facts.cpu.vendor = "AuthenticAMD";
    EXPECT_EQ(line(facts, "iommu.groups").fix, "turn AMD-Vi (IOMMU) on in the firmware");
}

TEST(Requirements, IntelIommu) {
    auto facts = good_host();
    facts.command_line = KernelCommandLine::parse("ro");
    facts.iommu_groups = 0;
    auto found = line(facts, "boot.intel_iommu");
    EXPECT_EQ(found.verdict, Verdict::fail);
    EXPECT_THAT(found.fix, HasSubstr("intel_iommu=on"));
    EXPECT_FALSE(gvt_d(facts));

    facts.iommu_groups = 12;
    found = line(facts, "boot.intel_iommu");
    EXPECT_EQ(found.verdict, Verdict::pass);
    EXPECT_THAT(found.detail, HasSubstr("but the IOMMU works: 12 groups"));

    facts.command_line = KernelCommandLine::parse("intel_iommu=on intel_iommu=off");
    facts.iommu_groups = 0;
    EXPECT_EQ(line(facts, "boot.intel_iommu").verdict, Verdict::fail);

    facts.command_line.reset();
    EXPECT_EQ(line(facts, "boot.intel_iommu").verdict, Verdict::unknown);
}

TEST(Requirements, AmdHostsNeedNoOptionUnlessItIsTurnedOff) {
    auto facts = good_host();
    facts.cpu = {"AuthenticAMD", "AMD EPYC", true};
    facts.command_line = KernelCommandLine::parse("ro");
    auto found = line(facts, "boot.intel_iommu");
    EXPECT_EQ(found.verdict, Verdict::pass);
    EXPECT_THAT(found.detail, HasSubstr("AMD host"));
    facts.command_line = KernelCommandLine::parse("amd_iommu=off");
    found = line(facts, "boot.intel_iommu");
    EXPECT_EQ(found.verdict, Verdict::fail);
    EXPECT_THAT(found.fix, HasSubstr("amd_iommu=off"));
}

TEST(Requirements, EnableGvtAsItRunsBeforeAsItWasAskedFor) {
    auto facts = good_host();
    facts.parents.clear();
    facts.gvt_parameter = false;
    auto found = line(facts, "boot.enable_gvt");
    EXPECT_EQ(found.verdict, Verdict::fail);
    EXPECT_EQ(found.detail, "i915 runs with enable_gvt=0");
    EXPECT_TRUE(found.required);

    facts.gvt_parameter.reset();
    EXPECT_EQ(line(facts, "boot.enable_gvt").verdict, Verdict::pass);
    facts.command_line = KernelCommandLine::parse("i915.enable_gvt=0");
    EXPECT_EQ(line(facts, "boot.enable_gvt").verdict, Verdict::fail);
    facts.command_line = KernelCommandLine::parse("ro");
    EXPECT_EQ(line(facts, "boot.enable_gvt").detail, "not on the kernel command line");
}

TEST(Requirements, AnotherDriversVgpusNeedNothingOfI915) {
    auto facts = good_host();
    facts.cpu = {"AuthenticAMD", "AMD EPYC", true};
    facts.command_line = KernelCommandLine::parse("intel_iommu=on");
    facts.modules.erase("kvmgt");
    facts.parents = {{"mbochs", "", 3}};
    for (const auto* id : {"boot.enable_gvt", "module.kvmgt"}) {
        const auto found = line(facts, id);
        EXPECT_EQ(found.verdict, Verdict::fail) << id;
        EXPECT_FALSE(found.required) << id;
        EXPECT_THAT(found.detail, HasSubstr("not needed")) << id;
        EXPECT_EQ(found.fix, "") << id;
    }
    EXPECT_TRUE(gvt_g(facts));
    facts.parents.clear();
    EXPECT_FALSE(gvt_g(facts));
}

TEST(Requirements, CpuGeneration) {
    auto facts = good_host();
    facts.parents.clear();
    facts.cpu.model = "Intel(R) Core(TM) i7-4790 CPU @ 3.60GHz";
    auto found = line(facts, "cpu.generation");
    EXPECT_EQ(found.verdict, Verdict::fail);
    EXPECT_THAT(found.detail, HasSubstr("generation 4"));
    EXPECT_FALSE(gvt_d(facts));
    facts.gpus[0].ids = "10de:1234"; // a card of its own
    EXPECT_FALSE(line(facts, "cpu.generation").required);
    EXPECT_TRUE(gvt_d(facts));

    facts.cpu.model = "13th Gen Intel(R) Core(TM) i9-13900K";
    EXPECT_EQ(line(facts, "cpu.generation").verdict, Verdict::pass);
    found = line(facts, "cpu.gvt_g_generation");
    EXPECT_EQ(found.verdict, Verdict::fail);
    EXPECT_THAT(found.fix, HasSubstr("use GVT-d"));
    facts.cpu.model = "Intel(R) Core(TM) i7-1065G7 CPU @ 1.30GHz";
    EXPECT_EQ(line(facts, "cpu.gvt_g_generation").verdict, Verdict::fail);

    facts.cpu.model = "Intel(R) Xeon(R) Gold 6230 CPU @ 2.10GHz";
    EXPECT_EQ(line(facts, "cpu.generation").verdict, Verdict::unknown);
    facts.cpu = {"AuthenticAMD", "AMD EPYC", true};
    EXPECT_EQ(line(facts, "cpu.generation").verdict, Verdict::unknown);
    facts.cpu = {};
    EXPECT_EQ(line(facts, "cpu.generation").detail, "/proc/cpuinfo names no model");
}

TEST(Requirements, ModulesNodesAndGroups) {
    for (const auto* module : {"vfio", "vfio_iommu_type1", "kvm", "vfio_pci"}) {
        auto facts = good_host();
        facts.modules.erase(module);
        const auto found = line(facts, std::string("module.") + module);
        EXPECT_EQ(found.verdict, Verdict::fail);
        EXPECT_EQ(found.fix, std::string("modprobe ") + module);
        EXPECT_FALSE(gvt_d(facts)) << module;
    }
    auto facts = good_host();
    facts.modules.erase("mdev");
    EXPECT_TRUE(gvt_d(facts));
    EXPECT_FALSE(gvt_g(facts));

    facts = good_host();
    facts.vfio_container = false;
    EXPECT_EQ(line(facts, "node.vfio").fix, "modprobe vfio");
    EXPECT_FALSE(gvt_d(facts));
    facts = good_host();
    facts.kvm = false;
    EXPECT_EQ(line(facts, "node.kvm").fix, "modprobe kvm_intel (or kvm_amd)");
    facts.cpu.virtualization = false;
    EXPECT_THAT(line(facts, "node.kvm").fix, HasSubstr("firmware"));
    facts = good_host();
    facts.iommu_groups = 0;
    EXPECT_THAT(line(facts, "iommu.groups").fix, HasSubstr("VT-d"));
    EXPECT_FALSE(gvt_g(facts));
}

// modprobe finds nothing of what was not built.
TEST(Requirements, AModuleTheKernelWasBuiltWithoutNeedsAnotherKernel) {
    const std::pair<const char*, const char*> modules[] = {
        {"vfio", "CONFIG_VFIO"},         {"vfio_iommu_type1", "CONFIG_VFIO_IOMMU_TYPE1"},
        {"vfio_pci", "CONFIG_VFIO_PCI"}, {"kvm", "CONFIG_KVM"},
        {"mdev", "CONFIG_VFIO_MDEV"},    {"kvmgt", "CONFIG_DRM_I915_GVT_KVMGT"}};
    for (const auto& [module, option] : modules) {
        auto facts = good_host();
        facts.parents.clear();
        facts.modules.erase(module);
        facts.config =
            KernelConfig::parse("CONFIG_OTHER=y\n# " + std::string(option) + " is not set\n");
        auto found = line(facts, std::string("module.") + module);
        EXPECT_EQ(found.verdict, Verdict::fail) << module;
        EXPECT_EQ(found.detail, "this kernel was built without it");
        EXPECT_EQ(found.fix, "a kernel with " + std::string(option) +
                                 " is needed: modprobe has nothing to load here");
        facts.config = KernelConfig::parse(std::string(option) + "=m\n");
        EXPECT_EQ(line(facts, std::string("module.") + module).fix,
                  "modprobe " + std::string(module));
        // Built in, it may have no parameters and so no folder in /sys/module.
        facts.config = KernelConfig::parse(std::string(option) + "=y\n");
        found = line(facts, std::string("module.") + module);
        EXPECT_EQ(found.verdict, Verdict::pass) << module;
        EXPECT_EQ(found.detail, "built in");
    }
    auto facts = good_host();
    facts.vfio_container = facts.kvm = false;
    facts.config = KernelConfig::parse("# CONFIG_VFIO is not set\n");
    EXPECT_EQ(line(facts, "node.vfio").fix,
              "a kernel with CONFIG_VFIO is needed: modprobe has nothing to load here");
    EXPECT_EQ(line(facts, "node.kvm").fix,
              "a kernel with CONFIG_KVM is needed: modprobe has nothing to load here");
    facts.config.reset();
    EXPECT_EQ(line(facts, "node.vfio").fix, "modprobe vfio");
}

// GVT-g is of Intel's processor graphics: who has none is not sent to its boot parameter.
TEST(Requirements, WithoutAnIntelGpuNothingOfI915IsAdvised) {
    auto amd = good_host();
    amd.cpu = {"AuthenticAMD", "AMD EPYC", true};
    auto other_card = good_host();
    other_card.gpus[0].ids = "10de:1234";
    auto no_gpu = good_host();
    no_gpu.gpus.clear();
    for (auto facts : {amd, other_card, no_gpu}) {
        facts.parents.clear();
        facts.command_line = KernelCommandLine::parse("ro intel_iommu=on");
        facts.modules.erase("kvmgt");
        facts.config = KernelConfig::parse("CONFIG_VFIO=m\nCONFIG_VFIO_MDEV=m\n");
        for (const auto* id :
             {"boot.enable_gvt", "module.kvmgt", "kernel_option.CONFIG_DRM_I915_GVT",
              "kernel_option.CONFIG_DRM_I915_GVT_KVMGT"}) {
            const auto found = line(facts, id);
            EXPECT_EQ(found.verdict, Verdict::unknown) << id;
            EXPECT_FALSE(found.required) << id;
            EXPECT_THAT(found.detail, HasSubstr("not applicable: ")) << id;
            EXPECT_EQ(found.fix, "") << id;
        }
        const auto parents = line(facts, "mdev.parents");
        EXPECT_EQ(parents.verdict, Verdict::fail);
        EXPECT_TRUE(parents.required);
        EXPECT_THAT(parents.fix, HasSubstr("needs the driver that makes its vGPUs"));
        for (const auto& each : evaluate(facts))
            EXPECT_THAT(each.fix, testing::Not(testing::AnyOf(HasSubstr("i915.enable_gvt"),
                                                              HasSubstr("kvmgt"))))
                << each.id;
        EXPECT_FALSE(gvt_g(facts)) << "nothing here makes vGPUs";
    }
    no_gpu.parents.clear();
    EXPECT_THAT(line(no_gpu, "mdev.parents").fix, HasSubstr("firmware"));
    EXPECT_EQ(line(amd, "cpu.gvt_g_generation").detail,
              "AMD EPYC; not applicable: not an Intel CPU, whose graphics GVT-g shares");
}

TEST(Requirements, OneViableGpuIsEnough) {
    auto facts = good_host();
    facts.gpus.push_back(
        {"0000:01:00.0", "10de:1234", "nouveau", 7, {"0000:01:00.1 is bound to snd_hda_intel"}});
    EXPECT_TRUE(gvt_d(facts));
    EXPECT_EQ(line(facts, "gpu.viable").detail, "1 of 2 display functions");
    const auto blocked = line(facts, "gpu.0000:01:00.0");
    EXPECT_EQ(blocked.verdict, Verdict::fail);
    EXPECT_EQ(blocked.detail, "[10de:1234] on nouveau, IOMMU group 7, not viable: 0000:01:00.1 is "
                              "bound to snd_hda_intel");
    facts.gpus.erase(facts.gpus.begin());
    EXPECT_FALSE(gvt_d(facts));
    facts.gpus[0].iommu_group.reset();
    EXPECT_EQ(line(facts, "gpu.0000:01:00.0").fix, "turn the IOMMU on");
    facts.gpus.clear();
    EXPECT_THAT(line(facts, "gpu.viable").fix, HasSubstr("no display function"));
}

TEST(Requirements, AParentWithoutTypesOffersNothing) {
    auto facts = good_host();
    facts.parents[0].types = 0;
    const auto found = line(facts, "mdev.parents");
    EXPECT_EQ(found.verdict, Verdict::fail);
    EXPECT_EQ(found.detail, "0000:00:02.0 (i915) with 0 types");
}

TEST(Requirements, TextShowsVerdictsAndFixes) {
    auto facts = good_host();
    facts.kvm = false;
    const auto text = check_text(evaluate(facts), false);
    EXPECT_THAT(text, HasSubstr("GVT-d and GVT-g need\n"));
    EXPECT_THAT(text, testing::ContainsRegex("\n  fail     /dev/kvm +not there\n"
                                             "           -> modprobe kvm_intel"));
    EXPECT_THAT(text, HasSubstr("GVT-d: not ready, 1 failed\nGVT-g: not ready, 1 failed\n"));
    EXPECT_THAT(check_text(evaluate(facts), true), HasSubstr("\033[31mfail   \033[0m"));
}

TEST(Requirements, Json) {
    auto facts = good_host();
    facts.kvm = false;
    const auto json = check_json(facts, evaluate(facts));
    EXPECT_EQ(json.at("kernel"), "5.4.0");
    EXPECT_EQ(json.at("gvt_d").at("ready"), false);
    for (const auto& each : json.at("checks").as_array())
        if (each.at("id") == "node.kvm") {
            EXPECT_EQ(each.at("needed_by"), (boost::json::array{"gvt_d", "gvt_g"}));
            EXPECT_EQ(each.at("required"), true);
            EXPECT_EQ(each.at("verdict"), "fail");
            EXPECT_EQ(each.at("title"), "/dev/kvm");
            EXPECT_EQ(each.at("fix"), "modprobe kvm_intel (or kvm_amd)");
            return;
        }
    FAIL() << "no line node.kvm";
}

} // namespace
} // namespace kata_vfio::cli
