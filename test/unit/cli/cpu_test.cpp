// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/check/cpu.hpp"

#include <gtest/gtest.h>

namespace kata_vfio::cli {
namespace {

struct Named {
    const char* model;
    int generation; ///< 0: can't be told
    bool ice_lake = false;
};

class Generation : public testing::TestWithParam<Named> {};

TEST_P(Generation, FromTheModelsName) {
    const auto found = cpu_generation(GetParam().model);
    EXPECT_EQ(found ? found->number : 0, GetParam().generation) << GetParam().model;
    EXPECT_EQ(found && found->ice_lake, GetParam().ice_lake) << GetParam().model;
}

INSTANTIATE_TEST_SUITE_P(
    Models, Generation,
    testing::Values(Named{"Intel(R) Core(TM) i7 CPU         920  @ 2.67GHz", 1},
                    Named{"Intel(R) Core(TM) i5 CPU       M 520  @ 2.40GHz", 1},
                    Named{"Intel(R) Core(TM) i5-2500K CPU @ 3.30GHz", 2},
                    Named{"Intel(R) Core(TM) i7-4790 CPU @ 3.60GHz", 4},
                    Named{"Intel(R) Core(TM) i7-5500U CPU @ 2.40GHz", 5},
                    Named{"Intel(R) Core(TM) M-5Y71 CPU @ 1.20GHz", 5},
                    Named{"Intel(R) Core(TM) m3-6Y30 CPU @ 0.90GHz", 6},
                    Named{"Intel(R) Core(TM) i5-7Y54 CPU @ 1.20GHz", 7},
                    Named{"Intel(R) Core(TM) m3-8100Y CPU @ 1.10GHz", 8},
                    Named{"Intel(R) Core(TM) i9-9900K CPU @ 3.60GHz", 9},
                    Named{"Intel(R) Core(TM) i7-10510U CPU @ 1.80GHz", 10},
                    Named{"Intel(R) Core(TM) i7-1065G7 CPU @ 1.30GHz", 10, true},
                    Named{"11th Gen Intel(R) Core(TM) i7-1165G7 @ 2.80GHz", 11},
                    Named{"12th Gen Intel(R) Core(TM) i7-1260P", 12},
                    Named{"13th Gen Intel(R) Core(TM) i9-13900K", 13},
                    Named{"Intel(R) Core(TM) i3-N305", 12},
                    Named{"Intel(R) Core(TM) Ultra 7 155H", 14},
                    Named{"Intel(R) Xeon(R) CPU E3-1230 @ 3.20GHz", 2},
                    Named{"Intel(R) Xeon(R) CPU E3-1270 V2 @ 3.50GHz", 3},
                    Named{"Intel(R) Xeon(R) CPU E3-1265L v3 @ 2.50GHz", 4},
                    Named{"Intel(R) Xeon(R) CPU E3-1285 v4 @ 3.50GHz", 5},
                    Named{"Intel(R) Xeon(R) CPU E3-1585L v5 @ 3.00GHz", 6},
                    Named{"Intel(R) Xeon(R) E-2176G CPU @ 3.70GHz", 8},
                    Named{"Intel(R) Xeon(R) E-2278G CPU @ 3.40GHz", 9},
                    Named{"Intel(R) Xeon(R) E-2388G CPU @ 3.20GHz", 11},
                    Named{"Intel(R) Xeon(R) W-1290P CPU @ 3.70GHz", 10},
                    Named{"Intel(R) Xeon(R) W-1390 CPU @ 2.80GHz", 11},
                    Named{"Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz", 0},
                    Named{"Intel(R) Xeon(R) Gold 6230 CPU @ 2.10GHz", 0},
                    Named{"Intel(R) Celeron(R) N5105 @ 2.00GHz", 0},
                    Named{"AMD EPYC 7763 64-Core Processor", 0},
                    Named{"QEMU TCG CPU version 2.5+", 0}, Named{"", 0}));

TEST(Cpuinfo, FirstCpuOnly) {
    const auto cpu = parse_cpuinfo("processor\t: 0\n"
                                   "vendor_id\t: GenuineIntel\n"
                                   "model name\t: Intel(R) Core(TM) i7-5500U CPU @ 2.40GHz\n"
                                   "flags\t\t: fpu vmx sse\n"
                                   "\n"
                                   "processor\t: 1\n"
                                   "vendor_id\t: AuthenticAMD\n"
                                   "model name\t: other\n");
    EXPECT_EQ(cpu.vendor, "GenuineIntel");
    EXPECT_EQ(cpu.model, "Intel(R) Core(TM) i7-5500U CPU @ 2.40GHz");
    EXPECT_TRUE(cpu.virtualization);
    EXPECT_TRUE(cpu.intel());
    EXPECT_FALSE(cpu.amd());
}

TEST(Cpuinfo, NoFlagNoVirtualization) {
    EXPECT_FALSE(parse_cpuinfo("model name: x\nflags: fpu vmxe\n").virtualization);
    EXPECT_TRUE(parse_cpuinfo("model name: x\nflags: svm\n").virtualization);
    EXPECT_EQ(parse_cpuinfo("").model, "");
}

} // namespace
} // namespace kata_vfio::cli
