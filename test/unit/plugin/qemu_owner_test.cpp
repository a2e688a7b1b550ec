// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/qemu_owner.hpp"

#include "test/unit/plugin/save_state.hpp"
#include "test/unit/plugin/temp_dir.hpp"

#include <gtest/gtest.h>

namespace kata_vfio::plugin {
namespace {

class QemuOwner : public ::testing::Test {
  protected:
    static SandboxState sandbox(const std::string& id, std::int64_t pid,
                                const std::string& socket) {
        SandboxState state;
        state.id = id;
        state.qmp_socket = socket;
        state.qemu_pid = pid;
        state.qemu_start = pid == 0 ? 0 : 77;
        return state;
    }
    void remember(const SandboxState& state) const {
        directory_.ensure(directory_.sandbox(state.id));
        ASSERT_FALSE(save_state(directory_.sandbox(state.id), state).has_value());
    }
    /// Whose it is already; "" when it may be opened.
    std::string taken(const SandboxState& asked) const {
        try {
            refuse_second_sandbox(directory_, asked);
        } catch (const Failure& failure) {
            EXPECT_EQ(failure.code(), Errc::invalid_argument);
            return failure.blocker().substr(0, failure.blocker().find(','));
        }
        return {};
    }
    TempDir temp_;
    StateDir directory_{temp_.path() / "kata-vfio"};
};

TEST_F(QemuOwner, ByItsProcess) {
    remember(sandbox("a", 4711, "/run/a.sock"));
    remember(sandbox("b", 47, "/run/b.sock"));
    EXPECT_EQ(taken(sandbox("new", 4711, "/run/other.sock")), "sandbox a");
    EXPECT_EQ(taken(sandbox("new", 47, "/run/other.sock")), "sandbox b");
    EXPECT_EQ(taken(sandbox("new", 471, "/run/a.sock")), ""); // the path has passed on
    EXPECT_EQ(taken(sandbox("a", 4711, "/run/a.sock")), "");  // itself
    auto reused = sandbox("new", 4711, "/run/other.sock");
    reused.qemu_start = 78;
    EXPECT_EQ(taken(reused), "");
}

TEST_F(QemuOwner, ByItsMonitorWhereAProcessIsNotKnown) {
    remember(sandbox("a", 0, "/run/a.sock"));
    remember(sandbox("b", 4711, "/run/b.sock"));
    EXPECT_EQ(taken(sandbox("new", 12, "/run/a.sock")), "sandbox a");
    EXPECT_EQ(taken(sandbox("new", 0, "/run/b.sock")), "sandbox b");
    EXPECT_EQ(taken(sandbox("new", 0, "/run/c.sock")), "");
}

// What the text alone does not tell is parsed: spaces of a hand, a key in an annotation's value.
TEST_F(QemuOwner, WhateverTheStateLooksLike) {
    auto noted = sandbox("a", 4711, "/run/a.sock");
    noted.annotations["x"] = "\"qemu_pid\":5,";
    remember(noted);
    EXPECT_EQ(taken(sandbox("new", 4711, "/run/other.sock")), "sandbox a");
    const std::string file = "kata-vfio/sandboxes/a/state.json";
    auto text = temp_.read(file);
    text.replace(text.find("\"qemu_pid\":"), 11, "\"qemu_pid\" : ");
    temp_.write(file, text);
    EXPECT_EQ(taken(sandbox("new", 4711, "/run/other.sock")), "sandbox a");
    EXPECT_EQ(taken(sandbox("new", 4712, "/run/other.sock")), "");
    temp_.write(file, "{\"qemu_pid\":4711, torn");
    EXPECT_EQ(taken(sandbox("new", 4711, "/run/other.sock")), ""); // reconcile's
}

} // namespace
} // namespace kata_vfio::plugin
