// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/survey.hpp"

#include "test/unit/plugin/save_state.hpp"
#include "test/unit/plugin/temp_dir.hpp"

#include <gtest/gtest.h>

namespace kata_vfio::plugin {
namespace {

TEST(SeenStates, AreThoseOfTheFileThatIsThere) {
    const TempDir sandbox;
    SandboxState state;
    state.id = "sb1";
    state.machine = "before";
    ASSERT_FALSE(SeenStates::version(sandbox.path()).has_value());
    ASSERT_FALSE(save_state(sandbox.path(), state).has_value());
    SeenStates seen;
    EXPECT_EQ(seen.find("sb1", sandbox.path()), nullptr);
    const auto version = SeenStates::version(sandbox.path());
    ASSERT_TRUE(version.has_value());
    seen.put("sb1", *version, state);
    const auto* found = seen.find("sb1", sandbox.path());
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found->machine, "before");
    EXPECT_EQ(seen.find("sb2", sandbox.path()), nullptr);
    // Replaced whole, as it always is: another file.
    state.machine = "after";
    ASSERT_FALSE(save_state(sandbox.path(), state).has_value());
    EXPECT_EQ(seen.find("sb1", sandbox.path()), nullptr);
    std::filesystem::remove(sandbox.path() / "state.json");
    EXPECT_EQ(seen.find("sb1", sandbox.path()), nullptr);
}

} // namespace
} // namespace kata_vfio::plugin
