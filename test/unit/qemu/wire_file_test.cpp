// SPDX-License-Identifier: Apache-2.0
#include "qemu/wire_log/wire_file.hpp"

#include "config/base/file.hpp"
#include "temp_dir.hpp"

#include <gtest/gtest.h>

#include <sys/stat.h>

#include <cerrno>

using namespace kata_vfio;
using namespace kata_vfio::qemu;

namespace {

struct WireFiles : testing::Test {
    std::string read(const char* name) const {
        return read_file(directory.path() / name).value_or("(none)");
    }
    TempDir directory;
    const std::filesystem::path path = directory.path() / "wire.log";
};

std::string line(std::size_t size, char with) {
    return std::string(size - 1, with) + "\n";
}

} // namespace

TEST_F(WireFiles, RotatesBySizeAndKeepsSoMany) {
    WireFile file(path, 40, 3);
    ASSERT_EQ(file.open(), 0);
    for (const char with : {'a', 'b', 'c', 'd', 'e', 'f', 'g'})
        ASSERT_EQ(file.append(line(15, with), "H\n"), 0);
    EXPECT_EQ(read("wire.log"), "H\n" + line(15, 'g'));
    EXPECT_EQ(read("wire.log.1"), "H\n" + line(15, 'e') + line(15, 'f'));
    EXPECT_EQ(read("wire.log.2"), "H\n" + line(15, 'c') + line(15, 'd'));
    EXPECT_EQ(read("wire.log.3"), "(none)");
    for (const auto* name : {"wire.log", "wire.log.1", "wire.log.2"}) {
        struct stat status {};
        ASSERT_EQ(::stat((directory.path() / name).c_str(), &status), 0);
        EXPECT_EQ(status.st_mode & 07777, 0600u) << name;
    }
}

TEST_F(WireFiles, OneFileStartsOver) {
    WireFile file(path, 20, 1);
    ASSERT_EQ(file.open(), 0);
    for (const char with : {'a', 'b', 'c'})
        ASSERT_EQ(file.append(line(15, with), "H\n"), 0);
    EXPECT_EQ(read("wire.log"), "H\n" + line(15, 'c'));
    EXPECT_EQ(read("wire.log.1"), "(none)");
}

TEST_F(WireFiles, ALineOverTheLimitHasAFileOfItsOwn) {
    WireFile file(path, 20, 3);
    ASSERT_EQ(file.open(), 0);
    ASSERT_EQ(file.append(line(100, 'x'), "H\n"), 0);
    ASSERT_EQ(file.append(line(10, 'y'), "H\n"), 0);
    EXPECT_EQ(read("wire.log.1"), "H\n" + line(100, 'x'));
    EXPECT_EQ(read("wire.log"), "H\n" + line(10, 'y'));
}

TEST_F(WireFiles, ACutOffLineIsEndedByTheNextWriter) {
    directory.write("wire.log", "H\n{\"us\":1,\"wall");
    WireFile file(path, 1000, 2);
    ASSERT_EQ(file.open(), 0);
    ASSERT_EQ(file.append("next\n", "H\n"), 0);
    EXPECT_EQ(read("wire.log"), "H\n{\"us\":1,\"wall\nnext\n");
}

TEST_F(WireFiles, WhatAnotherHasRotatedIsNotRotatedAgain) {
    WireFile one(path, 40, 3), other(path, 40, 3);
    ASSERT_EQ(one.open(), 0);
    ASSERT_EQ(other.open(), 0);
    ASSERT_EQ(one.append(line(30, 'a'), "H\n"), 0);
    ASSERT_EQ(one.append(line(30, 'b'), "H\n"), 0);   // rotates: 'a' is in .1
    ASSERT_EQ(other.append(line(9, 'c'), "H\n"), 0);  // into what it has open: .1
    ASSERT_EQ(other.append(line(30, 'd'), "H\n"), 0); // over the limit: opens the new one
    EXPECT_EQ(read("wire.log"), "H\n" + line(30, 'b') + line(30, 'd'));
    EXPECT_EQ(read("wire.log.2"), "(none)");
}

TEST_F(WireFiles, ConnectionsAreCountedOnFromTheFile) {
    WireFile file(path, 1000, 2);
    ASSERT_EQ(file.open(), 0);
    EXPECT_EQ(file.last_connection(), 0u);
    ASSERT_EQ(file.append("{\"us\":1,\"wall_us\":1,\"conn\":41,\"kind\":\"closed\"}\n", "H\n"), 0);
    ASSERT_EQ(file.append("{\"us\":1,\"wall_us\":1,\"conn\":7,\"kind\":\"sent\",\"message\":{\"x\""
                          ":{\"a\":0,\"conn\":99}}}\n",
                          "H\n"),
              0);
    EXPECT_EQ(file.last_connection(), 41u) << "a message's own members are none of ours";
    std::filesystem::rename(path, directory.path() / "wire.log.1");
    ASSERT_EQ(file.open(), 0);
    EXPECT_EQ(file.last_connection(), 41u) << "right after a rotation";
}

TEST_F(WireFiles, OnlyARegularFileOfOurOwnIsWritten) {
    WireFile file(path, 1000, 2);
    directory.write("elsewhere", "");
    std::filesystem::create_symlink("elsewhere", path);
    EXPECT_EQ(file.open(), ELOOP);
    std::filesystem::remove(path);
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    EXPECT_EQ(file.open(), EINVAL);
    EXPECT_FALSE(file.is_open());
    EXPECT_EQ(WireFile(directory.path() / "no" / "wire.log", 1, 1).open(), ENOENT);
}
