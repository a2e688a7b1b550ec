// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/check/kernel_command_line.hpp"

#include <gtest/gtest.h>

namespace kata_vfio::cli {
namespace {

TEST(KernelCommandLine, LastValueWinsAndDashesAreUnderscores) {
    const auto line =
        KernelCommandLine::parse("BOOT_IMAGE=/vmlinuz ro intel_iommu=on i915.enable-gvt=0 "
                                 "intel_iommu=off i915.enable_gvt=1\n");
    EXPECT_EQ(line.value("intel_iommu"), "off");
    EXPECT_EQ(line.value("i915.enable_gvt"), "1");
    EXPECT_EQ(line.value("ro"), "");
    EXPECT_EQ(line.value("iommu"), std::nullopt);
}

TEST(KernelCommandLine, WordsAfterCommas) {
    const auto line = KernelCommandLine::parse("intel_iommu=on,sm_on iommu=soft");
    EXPECT_TRUE(line.has_word("intel_iommu", "on"));
    EXPECT_TRUE(line.has_word("intel_iommu", "sm_on"));
    EXPECT_FALSE(line.has_word("intel_iommu", "o"));
    EXPECT_FALSE(line.has_word("amd_iommu", "on"));
}

TEST(KernelCommandLine, QuotesKeepSpacesAndInitsArgumentsAreNotTheKernels) {
    const auto line =
        KernelCommandLine::parse("a=\"x intel_iommu=on y\" \"b=c d\" -- intel_iommu=on");
    EXPECT_EQ(line.value("a"), "x intel_iommu=on y");
    EXPECT_EQ(line.value("b"), "c d");
    EXPECT_EQ(line.value("intel_iommu"), std::nullopt);
}

} // namespace
} // namespace kata_vfio::cli
