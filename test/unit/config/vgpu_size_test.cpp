// SPDX-License-Identifier: Apache-2.0
#include "config/vgpu_size.hpp"

#include <gtest/gtest.h>

namespace kata_vfio::config {
namespace {

TEST(Megabytes, OfMBAndGB) {
    EXPECT_EQ(megabytes("128MB"), 128u);
    EXPECT_EQ(megabytes("128 MB"), 128u);
    EXPECT_EQ(megabytes("2GB"), 2048u);
    for (const auto* text : {"", "MB", "0MB", "1", "1mb", "1KB", "1.5GB", "-1MB", "+1MB", "1MBx",
                             "0x10MB", "1073741825MB", "1048577GB", "18446744073709551616MB"})
        EXPECT_EQ(megabytes(text), std::nullopt) << text;
    EXPECT_EQ(megabytes("1048576GB"), std::uint64_t{1} << 30);
}

TEST(ParseResolution, WidthAndHeight) {
    EXPECT_EQ(parse_resolution("1920x1200"), (Resolution{1920, 1200}));
    for (const auto* text : {"", "x", "1920", "1920x", "x1200", "1920x1200x1", "1920 x 1200", "0x1",
                             "65536x1", "-1x1", "1920X1200"})
        EXPECT_EQ(parse_resolution(text), std::nullopt) << text;
    EXPECT_TRUE((Resolution{1920, 1200}).covers({1920, 1200}));
    EXPECT_TRUE((Resolution{1920, 1200}).covers({1024, 768}));
    EXPECT_FALSE((Resolution{1920, 1200}).covers({1024, 1201}));
    EXPECT_EQ((Resolution{65535, 65535}).pixels(), 4294836225u);
}

} // namespace
} // namespace kata_vfio::config
