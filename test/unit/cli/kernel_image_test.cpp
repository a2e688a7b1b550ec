// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/check/kernel_image.hpp"

#include "config/base/failure.hpp"
#include "kernel_bytes.hpp"

#include <gmock/gmock.h>

namespace kata_vfio::cli {
namespace {

using testing::HasSubstr;

std::string refusal(const std::string& bytes) {
    try {
        parse_kernel_image(bytes);
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.code(), Errc::host_io);
        return failure.what();
    }
    return "taken";
}

TEST(KernelImage, LooksIntoAnElfFile) {
    const auto image = parse_kernel_image(elf_image(true, "CONFIG_X=y\n"));
    EXPECT_EQ(image.kind, KernelImage::Kind::elf);
    EXPECT_TRUE(image.x86_64);
    EXPECT_EQ(image.pvh, true);
    EXPECT_EQ(image.config, "CONFIG_X=y\n");
    const auto bare = parse_kernel_image(elf_image(false, ""));
    EXPECT_EQ(bare.pvh, false);
    EXPECT_EQ(bare.config, std::nullopt);
    EXPECT_EQ(bare.config_missing, "it was built without CONFIG_IKCONFIG");
}

TEST(KernelImage, LooksIntoAGzippedBzImage) {
    const auto image = parse_kernel_image(
        bzimage(gzip(elf_image(true, "CONFIG_X=y\n")), "6.1.192-intel-gpu (k@k)"));
    EXPECT_EQ(image.kind, KernelImage::Kind::bzimage);
    EXPECT_EQ(image.version, "6.1.192-intel-gpu (k@k)");
    EXPECT_TRUE(image.x86_64);
    EXPECT_EQ(image.pvh, true);
    EXPECT_EQ(image.config, "CONFIG_X=y\n");
}

TEST(KernelImage, NamesACompressionItDoesNotKnow) {
    const auto image = parse_kernel_image(bzimage(std::string("\xfd"
                                                              "7zXZ\0....",
                                                              10),
                                                  "6.1"));
    EXPECT_EQ(image.pvh, std::nullopt);
    EXPECT_EQ(image.config, std::nullopt);
    EXPECT_EQ(image.config_missing, "it is compressed with xz, which is not looked into");
    EXPECT_THAT(parse_kernel_image(bzimage("\x28\xb5\x2f\xfd....", "6.1")).config_missing,
                HasSubstr("with zstd,"));
    EXPECT_THAT(parse_kernel_image(bzimage("????????", "6.1")).config_missing,
                HasSubstr("with unknown means,"));
}

TEST(KernelImage, OtherMachinesAreSeen) {
    auto bytes = elf_image(true, "");
    put<std::uint16_t>(bytes, offsetof(Elf64_Ehdr, e_machine), EM_AARCH64);
    EXPECT_FALSE(parse_kernel_image(bytes).x86_64);
    auto small = bzimage("????????", "6.1");
    put<std::uint16_t>(small, 0x236, 0);
    EXPECT_FALSE(parse_kernel_image(small).x86_64);
}

TEST(KernelImage, AProgramIsNone) {
    auto bytes = elf_image(false, "");
    put<std::uint32_t>(bytes, sizeof(Elf64_Ehdr) + offsetof(Elf64_Phdr, p_type), PT_INTERP);
    EXPECT_THAT(refusal(bytes), HasSubstr("neither an x86 kernel image"));
}

TEST(KernelImage, EveryCutIsRefusedOrHasLessInIt) {
    EXPECT_THAT(refusal(""), HasSubstr("neither an x86 kernel image"));
    EXPECT_THAT(refusal("#!/bin/sh\n"), HasSubstr("neither an x86 kernel image"));
    const auto elf = elf_image(true, "CONFIG_X=y\n");
    EXPECT_EQ(refusal(elf.substr(0, 100)), "the kernel image is cut short");
    EXPECT_THAT(refusal(elf.substr(0, elf.size() - 20)), HasSubstr("cut short"));
    const auto whole = bzimage(gzip(elf), "6.1");
    for (std::size_t length = 0; length < whole.size(); ++length)
        ASSERT_NE(refusal(whole.substr(0, length)), "taken") << length;
    EXPECT_EQ(refusal(bzimage(gzip("no ELF"), "6.1")),
              "what is compressed in the kernel image is no ELF file");
}

TEST(KernelImage, HostileNumbersAreRefused) {
    auto bytes = elf_image(true, "CONFIG_X=y\n");
    put<std::uint64_t>(bytes, offsetof(Elf64_Ehdr, e_phoff), ~std::uint64_t{0} - 3);
    EXPECT_EQ(refusal(bytes), "the kernel image is cut short");
    bytes = elf_image(true, "");
    put<std::uint64_t>(bytes, sizeof(Elf64_Ehdr) + offsetof(Elf64_Phdr, p_filesz),
                       ~std::uint64_t{0});
    EXPECT_EQ(refusal(bytes), "the kernel image is cut short");
    auto image = bzimage(gzip(elf_image(true, "")), "6.1");
    put<std::uint32_t>(image, 0x248, 0xfffffff0);
    EXPECT_EQ(refusal(image), "the kernel image is cut short");
}

} // namespace
} // namespace kata_vfio::cli
