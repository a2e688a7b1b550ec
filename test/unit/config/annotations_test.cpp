// SPDX-License-Identifier: Apache-2.0
#include "config/annotations.hpp"

#include "config/document.hpp"
#include "support.hpp"

#include <gmock/gmock.h>

using namespace kata_vfio;
using namespace kata_vfio::config;
using testing::HasSubstr;
using testing::StartsWith;

namespace {

const std::string prefix = "io.katacontainers.config.hypervisor.";

class Annotations : public testing::Test {
  protected:
    /// A usable configuration with these names enabled.
    void enable(const std::string& list, const std::string& more = "") {
        configuration_ = load_text("[hypervisor.qemu]\nhotplug_vfio_on_root_bus = true\n"
                                   "enable_annotations = [" +
                                       list + "]\n" + more,
                                   "f");
    }
    std::string apply(const std::string& name, const std::string& value) {
        return thrown([&] { apply_annotations(configuration_, {{prefix + name, value}}); });
    }
    Configuration configuration_;
};

} // namespace

TEST_F(Annotations, NotEnabledIsRefusedAndNothingChanges) {
    enable("\"kernel_params\"");
    EXPECT_EQ(apply("default_memory", "4096"),
              "annotation_refused: annotation "
              "'io.katacontainers.config.hypervisor.default_memory' is not enabled: no expression "
              "of enable_annotations (f:3:22) matches 'default_memory'; add \"default_memory\" to "
              "enable_annotations in [hypervisor.qemu], or leave the annotation out");
    EXPECT_EQ(configuration_.hypervisor.default_memory, 2048);
}

TEST_F(Annotations, AnExpressionMustMatchTheWholeName) {
    enable("\"path\", \"kernel\", \"default_.*\"");
    EXPECT_THAT(apply("ctlpath", "/x"), StartsWith("annotation_refused: "));
    EXPECT_THAT(apply("jailer_path", "/x"), StartsWith("annotation_refused: "));
    EXPECT_THAT(apply("kernel_params", "x"), StartsWith("annotation_refused: "));
    EXPECT_EQ(apply("default_memory", "4096"), "");
    EXPECT_EQ(configuration_.hypervisor.default_memory, 4096);
}

// With a matcher that backtracks this one would take until the end of days.
TEST_F(Annotations, NoNameMakesAnExpressionTakeForEver) {
    enable("\"([a-z]+)*_\"");
    EXPECT_THAT(apply(std::string(128, 'a'), "x"), HasSubstr("is not enabled"));
}

TEST_F(Annotations, AnExpressionThatIsTooMuchIsRefused) {
    const auto problem = [this](const std::string& pattern) {
        return thrown([&] { enable("'" + pattern + "'"); });
    };
    EXPECT_THAT(problem(std::string(100000, '(') + std::string(100000, ')')),
                HasSubstr("is longer than the 512 bytes a regular expression may have"));
    EXPECT_EQ(problem(std::string(512, 'a')), "");
    EXPECT_THAT(problem(R"((a)\1)"),
                HasSubstr("is no regular expression")); // nor is it one of Go's
    EXPECT_THAT(problem("((a{99}){99}){99}"), HasSubstr("is no regular expression"));
}

TEST_F(Annotations, Q35IsRefusedEvenWhenEnabled) {
    enable("\".*\"");
    for (const auto* machine : {"q35", "pc-q35-7.2", "microvm", "virt", "", "pc,accel=tcg"})
        EXPECT_EQ(apply("machine_type", machine),
                  "annotation_refused: annotation "
                  "'io.katacontainers.config.hypervisor.machine_type' asks for '" +
                      std::string(machine) +
                      "': only the pc machine's root bus pci.0 takes hot-plugged devices; leave it "
                      "out, or set it to pc");
    EXPECT_EQ(apply("machine_type", "pc-i440fx-7.2"), "");
    EXPECT_EQ(configuration_.hypervisor.machine_type, "pc-i440fx-7.2");
}

TEST_F(Annotations, TheRootBusCanBeTurnedOnAndNeverOff) {
    configuration_ =
        load_text("[hypervisor.qemu]\nenable_annotations = [\"hotplug_vfio_on_root_bus\"]\n", "f");
    for (const auto* no : {"false", "0", "F"})
        EXPECT_THAT(apply("hotplug_vfio_on_root_bus", no), HasSubstr("turns the root bus off"));
    EXPECT_THAT(apply("hotplug_vfio_on_root_bus", "yes"),
                HasSubstr("must be true or false, is 'yes'"));
    EXPECT_EQ(apply("hotplug_vfio_on_root_bus", "T"), "");
    EXPECT_TRUE(configuration_.hypervisor.hotplug_vfio_on_root_bus);
}

TEST_F(Annotations, TheRulesAreRunAgainAfterwards) {
    enable("\".*\"");
    EXPECT_EQ(apply("enable_iommu", "true"),
              "config_invalid: annotation io.katacontainers.config.hypervisor.enable_iommu "
              "enable_iommu: is true: a virtual IOMMU exists with q35 only, and only the pc "
              "machine's root bus pci.0 takes hot-plugged devices; set it to false");
    EXPECT_FALSE(configuration_.hypervisor.enable_iommu);
    EXPECT_THAT(apply("machine_accelerators", "type=q35"), StartsWith("machine_refused: "));
    EXPECT_THAT(apply("kernel_params", "a\nb"), HasSubstr("control character"));
}

TEST_F(Annotations, AFileThatBreaksARuleIsRefusedWithoutAnyToo) {
    configuration_ = load_text("[hypervisor.qemu]\nmachine_type = \"q35\"\n", "f");
    EXPECT_THAT(thrown([&] { apply_annotations(configuration_, {}); }),
                StartsWith("machine_refused: f:2:16 machine_type: "));
}

TEST_F(Annotations, ValuesAreTypedAndRangedAsInTheFile) {
    enable("\".*\"");
    EXPECT_THAT(apply("default_memory", "2G"), HasSubstr("must be a whole number, is '2G'"));
    EXPECT_THAT(apply("default_memory", ""), HasSubstr("must be a whole number, is ''"));
    EXPECT_THAT(apply("default_memory", "128"), HasSubstr("must be at least 256 MiB, is 128"));
    EXPECT_THAT(apply("default_memory", "99999999999999999999"), HasSubstr("whole number"));
    EXPECT_THAT(apply("enable_debug", "on"), HasSubstr("must be true or false, is 'on'"));
    EXPECT_THAT(apply("cpu_features", std::string("a\0b", 3)), HasSubstr("zero byte"));
}

TEST_F(Annotations, KernelParametersAreAppended) {
    enable("\"kernel_params\"", "kernel_params = \"quiet\"\n");
    EXPECT_EQ(apply("kernel_params", "i915.modeset=1"), "");
    EXPECT_EQ(configuration_.hypervisor.kernel_params, "quiet i915.modeset=1");
    const auto& origin = configuration_.where.at("hypervisor.qemu.kernel_params");
    EXPECT_EQ(origin.at.str(), "annotation io.katacontainers.config.hypervisor.kernel_params");
    ASSERT_EQ(origin.overridden.size(), 1u);
    EXPECT_EQ(origin.overridden[0].str(), "f:4:17");
}

TEST_F(Annotations, PathsMustBePermitted) {
    enable("\".*\"", "valid_hypervisor_paths = [\"/usr/bin/qemu-*\"]\n[vfio]\n"
                     "allowed_guest_files = [\"/srv/guests/*.img\"]\n");
    EXPECT_EQ(apply("path", "/usr/bin/qemu-system-x86_64"), "");
    EXPECT_EQ(configuration_.hypervisor.path, "/usr/bin/qemu-system-x86_64");
    EXPECT_EQ(apply("path", "/bin/sh"),
              "annotation_refused: annotation 'io.katacontainers.config.hypervisor.path' names "
              "'/bin/sh', which is not permitted by valid_hypervisor_paths in [hypervisor.qemu]; "
              "have the administrator add a pattern for it there, or leave the annotation out");
    for (const auto* path : {"/usr/bin/qemu-x/../sh", "usr/bin/qemu-x", "/usr/bin/qemu-a/b",
                             "/usr/bin//qemu-x", "/usr/bin/./qemu-x", ""})
        EXPECT_THAT(apply("path", path), HasSubstr("is not permitted by")) << path;
    EXPECT_EQ(apply("image", "/srv/guests/a.img"), "");
    for (const auto* name : {"kernel", "image", "initrd", "firmware"})
        EXPECT_THAT(apply(name, "/etc/shadow"),
                    HasSubstr("is not permitted by allowed_guest_files in [vfio]"));
}

TEST_F(Annotations, NoPathIsPermittedByDefault) {
    enable("\".*\"");
    EXPECT_THAT(apply("kernel", Configuration().hypervisor.kernel), HasSubstr("not permitted"));
    EXPECT_THAT(apply("path", Configuration().hypervisor.path), HasSubstr("not permitted"));
}

TEST_F(Annotations, UnknownNamesAreRefusedWithASuggestion) {
    enable("\".*\"");
    EXPECT_EQ(apply("hotplug_vfio_on_rootbus", "true"),
              "annotation_refused: annotation "
              "'io.katacontainers.config.hypervisor.hotplug_vfio_on_rootbus' is known to nobody "
              "(did you mean io.katacontainers.config.hypervisor.hotplug_vfio_on_root_bus?)");
    EXPECT_THAT(apply("zzz", "1"), HasSubstr("is known to nobody"));
    EXPECT_THAT(apply("bad\nname", "1"), HasSubstr("bad\\x0aname"));
    EXPECT_THAT(apply(std::string(100000, 'a'), "1"), HasSubstr("has a name of 100000 bytes"));
}

TEST_F(Annotations, NoAnnotationWidensWhatIsPermitted) {
    enable("\".*\"");
    EXPECT_THAT(apply("enable_annotations", ".*"), HasSubstr("can't be given as an annotation"));
    EXPECT_THAT(apply("valid_hypervisor_paths", "*"), HasSubstr("can't be given as an annotation"));
}

TEST_F(Annotations, ThePodsShare) {
    enable("\".*\"");
    EXPECT_EQ(apply("shared_fs", "virtio-fs"), "");
    EXPECT_EQ(configuration_.hypervisor.shared_fs, "virtio-fs");
    EXPECT_THAT(apply("shared_fs", "nfs"), HasSubstr("virtio-9p"));
    EXPECT_THAT(apply("virtio_fs_queue_size", "96"), HasSubstr("power of two"));
    for (const auto* root_like : {"virtio_fs_daemon", "virtio_fs_extra_args"})
        EXPECT_THAT(apply(root_like, "--x"), HasSubstr("can't be given as an annotation"));
}

TEST_F(Annotations, KatasOthersAndObsoleteOnesBecomeWarnings) {
    enable("\".*\"");
    EXPECT_EQ(apply("msize_9p", "8192"), "");
    EXPECT_EQ(apply("hot_plug_vfio", "root-port"), "");
    ASSERT_EQ(configuration_.warnings.size(), 2u);
    EXPECT_EQ(configuration_.warnings[0].str(),
              "annotation io.katacontainers.config.hypervisor.msize_9p: is Kata's and has "
              "no effect here");
    EXPECT_THAT(configuration_.warnings[1].str(), HasSubstr("is obsolete and has no effect here"));
}

TEST_F(Annotations, ThoseOfOthersAreLeftAlone) {
    enable("");
    EXPECT_EQ(thrown([&] {
                  apply_annotations(configuration_,
                                    {{"io.kubernetes.cri.container-type", "sandbox"},
                                     {"io.katacontainers.config.runtime.vfio_mode", "vfio"},
                                     {"io.katacontainers.config.hypervisorx", "x"},
                                     {"", ""}});
              }),
              "");
    EXPECT_EQ(configuration_.runtime.vfio_mode, "guest-kernel");
}

TEST_F(Annotations, AllOrNone) {
    enable("\"default_memory\", \"default_vcpus\"");
    EXPECT_NE(thrown([&] {
                  apply_annotations(configuration_, {{prefix + "default_memory", "4096"},
                                                     {prefix + "default_vcpus", "many"}});
              }),
              "");
    EXPECT_EQ(configuration_.hypervisor.default_memory, 2048);
}

TEST_F(Annotations, ASandboxAsksForDevicesOfItsOwn) {
    enable("\"vgpu_(type|parent|low_gm|resolution|keep)\", \"gpu\"");
    EXPECT_EQ(thrown([&] {
                  apply_annotations(configuration_, {{prefix + "vgpu_type", "i915-GVTg_V4_8"},
                                                     {prefix + "vgpu_parent", "0000:00:02.0"},
                                                     {prefix + "vgpu_low_gm", "64MB"},
                                                     {prefix + "vgpu_resolution", "1024x768"},
                                                     {prefix + "vgpu_keep", "true"},
                                                     {prefix + "gpu", "0000:00:02.0"}});
              }),
              "");
    const auto& vgpu = configuration_.vfio.vgpu;
    EXPECT_EQ(vgpu.type, "i915-GVTg_V4_8");
    EXPECT_EQ(vgpu.parent, "0000:00:02.0");
    EXPECT_EQ(vgpu.low_gm, "64MB");
    EXPECT_EQ(vgpu.resolution, "1024x768");
    EXPECT_TRUE(vgpu.keep);
    EXPECT_EQ(configuration_.vfio.gpu, "0000:00:02.0");
}

TEST_F(Annotations, DevicesAreEnabledByWholeNamesToo) {
    enable("\"vgpu\", \"type\", \"gpu\"");
    for (const auto* name : {"vgpu_type", "vgpu_parent"})
        EXPECT_THAT(apply(name, "x"), HasSubstr("is not enabled"));
    // The keys of [vfio] and [vfio.vgpu] have no other name as annotations.
    EXPECT_THAT(apply("type", "x"), HasSubstr("is known to nobody"));
    EXPECT_EQ(apply("gpu", "0000:00:02.0"), "");
}

TEST_F(Annotations, AVgpuThatIsNotToldWhole) {
    enable("\"vgpu_.*\"");
    EXPECT_EQ(apply("vgpu_parent", "0000:00:02.0"),
              "config_invalid: annotation "
              "io.katacontainers.config.hypervisor.vgpu_parent parent: stands alone: which vGPU is "
              "wanted is not told; give vgpu_type (type in [vfio.vgpu]) or what it must have at "
              "least, or take it out");
    EXPECT_THAT(apply("vgpu_keep", "true"), HasSubstr("keep: stands alone"));
    for (const auto* size : {"128", "128 KB", "0MB", "-1MB", "99999999999999999999MB", "MB"})
        EXPECT_THAT(apply("vgpu_low_gm", size), HasSubstr("is no size")) << size;
    for (const auto* size : {"1920", "1920x", "x1200", "0x0", "70000x1", "1920X1200", "1x2x3"})
        EXPECT_THAT(apply("vgpu_resolution", size), HasSubstr("is no resolution")) << size;
    // One annotation must not say what is another's.
    for (const auto* name : {"a,keep=true", "a@b", "/dev/vfio/1", "a=b"})
        EXPECT_THAT(apply("vgpu_type", name), HasSubstr("can't be a name")) << name;
    EXPECT_FALSE(configuration_.vfio.vgpu.wanted());
}

TEST_F(Annotations, WhatTheFileAsksForCanBeAnInlineTable) {
    enable("", "[vfio]\nvgpu = { low_gm = \"128MB\", resolution = \"1920x1200\" }\n");
    EXPECT_EQ(thrown([&] { apply_annotations(configuration_, {}); }), "");
    EXPECT_EQ(configuration_.vfio.vgpu.low_gm, "128MB");
    EXPECT_TRUE(configuration_.vfio.vgpu.sized());
    enable("", "[vfio]\nvgpu = { low_gm = \"128\" }\n");
    EXPECT_THAT(thrown([&] { apply_annotations(configuration_, {}); }),
                HasSubstr("f:5:19 low_gm: '128' is no size"));
}
