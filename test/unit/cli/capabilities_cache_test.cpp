// SPDX-License-Identifier: Apache-2.0
#include "config/base/file.hpp"
#include "runtime-plugin/cli/xml/capabilities_cache.hpp"
#include "test/unit/plugin/temp_dir.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>

namespace kata_vfio::cli {
namespace {

namespace fs = std::filesystem;

/// A helper's directory, and a cache beside it.
struct Cache : testing::Test {
    fs::path run() const { return directory.path() / "run"; }
    fs::path kept() const { return directory.path() / "cache"; }
    fs::path there() const { return run() / "cache/qemu/capabilities"; }
    static void write(const fs::path& file, const std::string& text) {
        fs::create_directories(file.parent_path());
        std::ofstream(file) << text;
    }
    static std::ptrdiff_t count(const fs::path& in) {
        return std::distance(fs::directory_iterator(in), fs::directory_iterator());
    }
    plugin::TempDir directory;
    const std::string name = std::string(64, 'a') + ".xml";
    const CapabilitiesCache cache{directory.path() / "cache"};
};

TEST_F(Cache, WhatLibvirtHasFoundOutIsThereTheNextTime) {
    cache.lend(run()); // nothing yet
    EXPECT_FALSE(fs::exists(run()));
    write(there() / name, "<qemuCaps/>");
    cache.keep(run());
    EXPECT_EQ(fs::status(kept()).permissions(), fs::perms::owner_all);
    fs::remove_all(run());
    cache.lend(run());
    EXPECT_EQ(read_file(there() / name), "<qemuCaps/>");
    write(there() / name, "<newer/>");
    cache.keep(run());
    EXPECT_EQ(read_file(kept() / name), "<newer/>");
}

/// libvirt's side is the user nobody's: what it may make of a directory must not reach further.
TEST_F(Cache, OfWhatIsNoFileOfLibvirtsNothingIsKept) {
    const auto named = [](char c) { return std::string(64, c) + ".xml"; };
    write(directory.path() / "secret", "root's");
    fs::create_directories(there());
    fs::create_symlink(directory.path() / "secret", there() / name);
    write(there() / "other.xml", "x");
    write(there() / (std::string(64, 'b') + ".txt"), "x");
    write(there() / named('c'), "");
    fs::create_directory(there() / named('d'));
    ASSERT_EQ(::mkfifo((there() / named('e')).c_str(), 0600), 0);
    write(there() / named('f'), std::string((4u << 20) + 1, 'x'));
    cache.keep(run());
    EXPECT_FALSE(fs::exists(kept()));
}

TEST_F(Cache, OneThatOthersCanChangeIsNotUsed) {
    write(there() / name, "<qemuCaps/>");
    fs::create_directory(kept());
    fs::permissions(kept(), fs::perms::all);
    cache.keep(run());
    EXPECT_EQ(count(kept()), 0);
    write(kept() / name, "theirs");
    fs::remove_all(run());
    cache.lend(run());
    EXPECT_FALSE(fs::exists(run()));
    // Nor one by a link, whoever's it is.
    fs::remove_all(kept());
    const auto elsewhere = directory.path() / "elsewhere";
    fs::create_directory(elsewhere);
    fs::create_directory_symlink(elsewhere, kept());
    write(there() / name, "<qemuCaps/>");
    cache.keep(run());
    EXPECT_EQ(count(elsewhere), 0);
}

TEST(CachePlace, OfTheUserOrOfTheHost) {
    EXPECT_EQ(choose_cache("/x", "/home/u", true, "/"), "/x/kata-vfio-libvirt");
    EXPECT_EQ(choose_cache("relative", "/home/u", false, "/"), "/home/u/.cache/kata-vfio-libvirt");
    EXPECT_EQ(choose_cache(nullptr, "/root", true, "/"), "/var/cache/kata-vfio-libvirt");
    EXPECT_EQ(choose_cache(nullptr, nullptr, false, "/"), "");
}

} // namespace
} // namespace kata_vfio::cli
