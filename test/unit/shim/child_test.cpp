// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/vm/child.hpp"

#include "config/base/file.hpp"
#include "test/unit/plugin/temp_dir.hpp"

#include <boost/asio/co_spawn.hpp>
#include <gmock/gmock.h>

#include <optional>

namespace kata_vfio::shim {
namespace {
namespace fs = std::filesystem;
using ::testing::EndsWith;

class ChildWords : public ::testing::Test {
  protected:
    /// How it ended.
    std::optional<std::string> run(const std::string& script) {
        Child::Plan plan;
        plan.words = {"/bin/sh", "-c", script};
        plan.log = log;
        Child child(io, plan);
        std::optional<std::string> end;
        boost::asio::co_spawn(io, child.ended().wait_for(std::chrono::seconds(60)),
                              [&](const std::exception_ptr&, auto how) { end = how; });
        io.run();
        io.restart();
        return end;
    }

    plugin::TempDir dir;
    fs::path log = dir.path() / "child.log";
    boost::asio::io_context io{1};
};

TEST_F(ChildWords, AreAllThereWhenItsEndIsTold) {
    EXPECT_EQ(run("echo to stdout; echo to stderr >&2; exit 3"), "exit status 3");
    EXPECT_EQ(read_file(log), "to stdout\nto stderr\n");
    EXPECT_EQ(run("echo once more"), ended_well);
    EXPECT_EQ(read_file(log), "to stdout\nto stderr\nonce more\n");
    EXPECT_EQ(last_words(log), "to stdout\nto stderr\nonce more");
}

TEST_F(ChildWords, DontFillTheHostsMemory) {
    EXPECT_EQ(run("head -c 5000000 /dev/zero | tr '\\0' x; echo the last"), ended_well);
    EXPECT_LE(fs::file_size(log), ChildLog::most_bytes);
    // As much of it as came at once goes into the next file.
    EXPECT_GT(fs::file_size(log.native() + ".1"), ChildLog::most_bytes - 65536);
    EXPECT_LE(fs::file_size(log.native() + ".1"), ChildLog::most_bytes);
    EXPECT_EQ(std::distance(fs::directory_iterator(dir.path()), {}), 2);
    EXPECT_THAT(last_words(log), EndsWith("xxxthe last"));
}

TEST_F(ChildWords, AreInOrderThoughItEndsWithMuchOfThemUnread) {
    std::string lines;
    for (int i = 10000; i < 19000; ++i)
        lines += std::to_string(i) + "\n"; // 54,000 bytes: what a pipe holds
    write_atomically(dir.path() / "lines", lines);
    for (int round = 0; round < 20; ++round) {
        fs::remove(log);
        EXPECT_EQ(run("exec cat " + (dir.path() / "lines").native()), ended_well);
        EXPECT_EQ(read_file(log), lines) << round;
    }
}

TEST_F(ChildWords, OfAProgramWhoseOwnLivesOn) {
    // It has the pipe open, as a daemon's child would; nobody waits for it.
    EXPECT_EQ(run("echo before the end; exec 3>&1; sleep 86400 & echo $!"), ended_well);
    const auto said = last_words(log);
    EXPECT_THAT(said, ::testing::StartsWith("before the end\n"));
    EXPECT_EQ(::kill(std::stoi(said.substr(said.rfind('\n') + 1)), SIGKILL), 0);
}

TEST(ChildLogs, ATextBeginsInTheFileBefore) {
    const plugin::TempDir dir;
    const auto path = dir.path() / "x.log";
    EXPECT_EQ(last_words(path), "");
    ChildLog log(path);
    log.append(std::string(ChildLog::most_bytes - 1, 'a') + "\n");
    EXPECT_FALSE(fs::exists(path.native() + ".1"));
    log.append("why it ended\n");
    EXPECT_EQ(read_file(path), "why it ended\n");
    const auto said = last_words(path);
    EXPECT_EQ(said.size(), 999u); // 1000 without the newline at the end
    EXPECT_THAT(said, EndsWith("aaa\nwhy it ended"));
    // Another one goes on in the file, and knows its size.
    ChildLog(path).append(std::string(ChildLog::most_bytes, 'b'));
    EXPECT_EQ(read_file(path.native() + ".1"), "why it ended\n");
}

} // namespace
} // namespace kata_vfio::shim
