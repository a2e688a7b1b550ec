// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/check/kernel_config.hpp"

#include "config/base/failure.hpp"
#include "config/base/file.hpp"
#include "test/places/places.hpp"

#include <gmock/gmock.h>

namespace kata_vfio::cli {
namespace {

using State = KernelConfig::State;

std::string fixture(const std::string& name) {
    return read_file(std::string(test::source_dir) + "/test/unit/cli/fixtures/" + name).value();
}

std::string gunzip_refusal(std::string_view bytes, std::size_t limit = 1 << 20) {
    try {
        gunzip(bytes, limit);
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.code(), Errc::host_io);
        return failure.what();
    }
    return "taken";
}

TEST(KernelConfig, TellsBuiltInModuleOffAndUnknownApart) {
    const auto config = KernelConfig::parse("# a comment\n"
                                            "CONFIG_VFIO=m\r\n"
                                            "CONFIG_KVM=y\n"
                                            "CONFIG_NAME=\"text\"\n"
                                            "# CONFIG_VFIO_MDEV is not set\n"
                                            "CONFIG_OLD=n\n"
                                            "CONFIG_BROKEN\n");
    EXPECT_EQ(config.state("CONFIG_VFIO"), State::module);
    EXPECT_EQ(config.state("CONFIG_KVM"), State::builtin);
    EXPECT_EQ(config.state("CONFIG_NAME"), State::builtin);
    EXPECT_EQ(config.state("CONFIG_VFIO_MDEV"), State::off);
    EXPECT_EQ(config.state("CONFIG_OLD"), State::off);
    EXPECT_EQ(config.state("CONFIG_BROKEN"), State::absent);
    EXPECT_EQ(config.state("CONFIG_VFIO_PCI"), State::absent);
    EXPECT_TRUE(KernelConfig::parse("").empty());
}

TEST(KernelConfig, ReadsAKernelsOwn) {
    const auto text = gunzip(fixture("debian-6.1.config.gz"));
    EXPECT_EQ(text, fixture("debian-6.1.config"));
    const auto config = KernelConfig::parse(text);
    EXPECT_EQ(config.state("CONFIG_VFIO_PCI"), State::module);
    EXPECT_EQ(config.state("CONFIG_VFIO_MDEV"), State::module);
    EXPECT_EQ(config.state("CONFIG_VFIO_MDEV_DEVICE"), State::absent);
}

TEST(KernelConfig, DamagedGzipIsRefusedWithTheReason) {
    const auto whole = fixture("debian-6.1.config.gz");
    EXPECT_THAT(gunzip_refusal(whole.substr(0, whole.size() / 2)), testing::HasSubstr("cut short"));
    EXPECT_THAT(gunzip_refusal(""), testing::HasSubstr("cut short"));
    EXPECT_THAT(gunzip_refusal("plain text, no gzip"),
                testing::StartsWith("not gzip data: incorrect header check"));
    auto flipped = whole;
    flipped[flipped.size() - 6] ^= 1; // the checksum
    EXPECT_THAT(gunzip_refusal(flipped), testing::HasSubstr("incorrect data check"));
    EXPECT_THAT(gunzip_refusal(whole, 100), testing::HasSubstr("more than 100 bytes"));
}

} // namespace
} // namespace kata_vfio::cli
