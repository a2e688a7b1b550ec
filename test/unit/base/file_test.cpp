// SPDX-License-Identifier: Apache-2.0
#include "config/base/file.hpp"

#include "config/base/failure.hpp"
#include "config/base/temporary_name.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

using namespace kata_vfio;
namespace fs = std::filesystem;

namespace {

class File : public testing::Test {
  protected:
    void SetUp() override {
        dir_ = fs::path(testing::TempDir()) / ("file." + std::to_string(::getpid()));
        fs::create_directories(dir_);
    }
    void TearDown() override { fs::remove_all(dir_); }
    auto entries() const { return std::distance(fs::directory_iterator(dir_), {}); }
    fs::path dir_;
};

} // namespace

TEST_F(File, AbsentIsNotAnError) {
    EXPECT_FALSE(read_file(dir_ / "none").has_value());
}

TEST_F(File, OverTheLimitIsRefusedByName) {
    write_atomically(dir_ / "long", std::string(100, 'x'));
    try {
        read_file(dir_ / "long", 99);
        FAIL();
    } catch (const Failure& failure) {
        EXPECT_NE(std::string(failure.what()).find("longer than 99 bytes"), std::string::npos);
    }
}

TEST_F(File, ReplacesWholeKeepsModeAndLeavesNothingElse) {
    const auto path = dir_ / "state";
    write_atomically(path, "one", 0640);
    ASSERT_EQ(::chmod(path.c_str(), 0604), 0);
    write_atomically(path, "two", 0600);
    EXPECT_EQ(read_file(path), "two");
    struct stat st {};
    ASSERT_EQ(::stat(path.c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 07777, 0604u);
    EXPECT_EQ(entries(), 1);
}

TEST_F(File, FollowsALink) {
    write_atomically(dir_ / "real", "one");
    fs::create_symlink("real", dir_ / "link");
    write_atomically(dir_ / "link", "two");
    EXPECT_TRUE(fs::is_symlink(dir_ / "link"));
    EXPECT_EQ(read_file(dir_ / "real"), "two");
}

TEST_F(File, MissingDirectoryIsNamed) {
    try {
        write_atomically(dir_ / "no" / "such", "x");
        FAIL();
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.code(), Errc::host_io);
        EXPECT_NE(std::string(failure.what()).find("/no"), std::string::npos);
    }
}

TEST_F(File, WhatAKilledWriterLeavesIsKnownByItsName) {
    const auto path = dir_ / "state.json";
    write_atomically(path, "old");
    const auto child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        const Replacement made(path, "new");
        ::_exit(0); // no destructor runs
    }
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    int left = 0;
    for (const auto& entry : fs::directory_iterator(dir_))
        left += is_temporary_of(entry.path().filename().string(), "state.json") ? 1 : 0;
    EXPECT_EQ(left, 1);
    EXPECT_EQ(entries(), 2);
    for (const char* other : {"state.json", "state.json.", "state.json.aB3xY", "state.json.aB3xY9z",
                              "state.json-aB3xY9", "state.json.aB3.Y9", "state_json.aB3xY9"})
        EXPECT_FALSE(is_temporary_of(other, "state.json")) << other;
}
