// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/vm/initrd.hpp"

#include "test/unit/plugin/temp_dir.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <string>

namespace kata_vfio::shim {
namespace {

std::string padded(std::string bytes) {
    bytes.resize((bytes.size() + 3) & ~std::size_t{3});
    return bytes;
}

/// One entry of a cpio archive as cpio(1) writes it with -H newc; its header alone tells the sizes.
std::string entry(const std::string& name, const std::string& content) {
    std::array<char, 128> header{};
    std::snprintf(header.data(), header.size(),
                  "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", 1, 0100644, 0, 0, 1,
                  0, static_cast<unsigned>(content.size()), 0, 0, 0, 0,
                  static_cast<unsigned>(name.size() + 1), 0);
    return padded(header.data() + name + '\0') + padded(content);
}

class Initrd : public ::testing::Test {
  protected:
    std::string file(const std::string& archive, const std::string& name = "transports") {
        dir.write("initrd", archive);
        return file_in_initrd(dir.path() / "initrd", name);
    }
    plugin::TempDir dir;
};

TEST_F(Initrd, HasAFile) {
    const auto end = entry("TRAILER!!!", "");
    const auto some = entry("init", "12345") + entry("lib", "");
    EXPECT_EQ(file(some + entry("transports", "a\n") + end), "a\n");
    EXPECT_EQ(file(some + entry("./transports", "a\n") + end), "a\n");
    EXPECT_EQ(file(some + entry("lib/transports", "a\n") + end), "");
    EXPECT_EQ(file(some + end + entry("transports", "a\n")), "") << "behind its end";
    EXPECT_EQ(file(entry("transports", std::string(10000, 'x'))).size(), 4096u);
}

TEST_F(Initrd, IsSomethingElse) {
    EXPECT_EQ(file_in_initrd("/nowhere", "transports"), "");
    EXPECT_EQ(file(""), "");
    EXPECT_EQ(file("\x1f\x8b compressed"), "");
    const auto good = entry("init", "12345") + entry("transports", "a");
    EXPECT_EQ(file(good.substr(0, 100)), "");
    auto bad = good;
    bad[6 + 11 * 8] = 'x';
    EXPECT_EQ(file(bad), "") << "its name's length";
    bad = good;
    bad.replace(6 + 6 * 8, 8, "FFFFFFFF");
    EXPECT_EQ(file(bad), "") << "longer than the archive";
}

TEST_F(Initrd, SaysHowItsAgentComes) {
    const auto says = [&](const std::string& text) {
        dir.write("initrd", entry("init", "x") + entry("transports", text));
        return initrd_has_vsock(dir.path() / "initrd");
    };
    EXPECT_TRUE(says("virtio-serial\nvsock\n"));
    EXPECT_FALSE(says("virtio-serial\n"));
    EXPECT_FALSE(says("no-vsock\n"));
    EXPECT_FALSE(says(""));
}

} // namespace
} // namespace kata_vfio::shim
