// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/plugin_library.hpp"

#include <gtest/gtest.h>

#include <set>

namespace kata_vfio::cli {
namespace {

std::string chosen(const char* env, std::set<std::string> there) {
    return choose_library(
        env, "/opt/kv/bin", "lib/x86_64-linux-gnu",
        [&](const std::filesystem::path& path) { return there.contains(path.string()); });
}

TEST(PluginLibrary, TheEnvironmentWinsEvenIfTheFileIsMissing) {
    EXPECT_EQ(chosen("/x/my.so", {"/opt/kv/lib/libkata_vfio.so.1"}), "/x/my.so");
}

TEST(PluginLibrary, ThenBesideTheExecutable) {
    EXPECT_EQ(chosen("", {"/opt/kv/lib/libkata_vfio.so.1", "/opt/kv/lib/libkata_vfio.so"}),
              "/opt/kv/lib/libkata_vfio.so.1");
    EXPECT_EQ(chosen(nullptr, {"/opt/kv/lib/libkata_vfio.so"}), "/opt/kv/lib/libkata_vfio.so");
    EXPECT_EQ(chosen(nullptr, {"/opt/kv/lib/x86_64-linux-gnu/libkata_vfio.so.1"}),
              "/opt/kv/lib/x86_64-linux-gnu/libkata_vfio.so.1");
}

TEST(PluginLibrary, ThenTheDynamicLinkersOwnWay) {
    EXPECT_EQ(chosen(nullptr, {}), "libkata_vfio.so.1");
}

} // namespace
} // namespace kata_vfio::cli
