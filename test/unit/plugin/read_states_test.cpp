// SPDX-License-Identifier: Apache-2.0
#include "config/base/failure.hpp"
#include "runtime-plugin/plugin/read_states.hpp"
#include "test/unit/plugin/save_state.hpp"
#include "test/unit/plugin/temp_dir.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

namespace kata_vfio::plugin {
namespace {

/// In memory, as /run is.
struct Read : testing::Test {
    void write(const std::string& machine) const {
        SandboxState state;
        state.id = "sb1";
        state.machine = machine;
        EXPECT_FALSE(save_state(directory.path(), state));
    }
    std::string machine() {
        const auto state = states.load("sb1", directory.path());
        return state ? state->machine : "none";
    }
    /// What nobody does: the same inode, size and time with another content. That it is not seen
    /// shows that the file was not read.
    void forge() const {
        const auto file = directory.path() / "state.json";
        struct stat st {};
        ASSERT_EQ(::stat(file.c_str(), &st), 0);
        {
            std::fstream out(file, std::ios::in | std::ios::out);
            out << '!';
        }
        const timespec times[2]{st.st_atim, st.st_mtim};
        ASSERT_EQ(::utimensat(AT_FDCWD, file.c_str(), times, 0), 0);
    }
    TempDir directory{std::filesystem::path("/dev/shm")};
    ReadStates states;
};

TEST_F(Read, IsNotReadAgainWhileItIsTheFileThereIs) {
    EXPECT_EQ(machine(), "none");
    write("pc-i440fx-7.2");
    EXPECT_EQ(machine(), "pc-i440fx-7.2");
    forge();
    EXPECT_EQ(machine(), "pc-i440fx-7.2");
    states.keep([](const auto& id) { return id == "sb1"; });
    EXPECT_EQ(machine(), "pc-i440fx-7.2");
    states.keep([](const auto&) { return false; });
    EXPECT_THROW(machine(), Failure);
}

TEST_F(Read, WhatAnybodyHasWrittenSinceIsSeen) {
    write("pc-i440fx-7.2");
    EXPECT_EQ(machine(), "pc-i440fx-7.2");
    write("pc-i440fx-7.1"); // of the same size
    EXPECT_EQ(machine(), "pc-i440fx-7.1");
    std::ofstream(directory.path() / "state.json") << "torn";
    EXPECT_THROW(machine(), Failure);
    EXPECT_THROW(machine(), Failure) << "what can't be read is not what was read before";
    std::filesystem::remove(directory.path() / "state.json");
    EXPECT_EQ(machine(), "none");
}

TEST_F(Read, OneThatIsAnothersNowIsNotTrusted) {
    if (::geteuid() != 0)
        GTEST_SKIP() << "needs root, to give a file away";
    write("pc");
    EXPECT_EQ(machine(), "pc");
    ASSERT_EQ(::chown((directory.path() / "state.json").c_str(), 4711, 4711), 0);
    EXPECT_EQ(failure_of([&] { machine(); }).code(), Errc::state_corrupt);
}

} // namespace
} // namespace kata_vfio::plugin
