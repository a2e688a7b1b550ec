// SPDX-License-Identifier: Apache-2.0
#include "config/base/failure.hpp"
#include "runtime-plugin/plugin/distrust.hpp"
#include "runtime-plugin/plugin/sandbox_state.hpp"
#include "test/unit/plugin/save_state.hpp"
#include "test/unit/plugin/temp_dir.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>

namespace kata_vfio::plugin {
namespace {

using ::testing::HasSubstr;

SandboxState state_of(const std::string& machine) {
    SandboxState state;
    state.id = "sb1";
    state.qmp_socket = "/run/qmp.sock";
    state.machine = machine;
    return state;
}

/// In memory, as /run is.
class KnownStateInMemory : public ::testing::Test {
  protected:
    KnownState known_;
    TempDir directory_{std::filesystem::path("/dev/shm")};

    void write(const SandboxState& state) {
        auto file = prepare_state(directory_.path(), state);
        EXPECT_FALSE(commit_state(file));
        ASSERT_TRUE(file.stamp());
        known_.wrote(file, state);
    }
    std::filesystem::path file() const { return directory_.path() / "state.json"; }
    std::string machine() {
        const auto state = known_.load(directory_.path());
        return state ? state->machine : "none";
    }
};

TEST_F(KnownStateInMemory, IsNotReadAgainWhileItIsTheFileThereIs) {
    write(state_of("pc-i440fx-7.2"));
    // What nobody does: the same inode, size and time with another content. That it is not seen
    // shows that the file was not read.
    struct stat st {};
    ASSERT_EQ(::stat(file().c_str(), &st), 0);
    {
        std::fstream out(file(), std::ios::in | std::ios::out);
        out << '!';
    }
    const timespec times[2]{st.st_atim, st.st_mtim};
    ASSERT_EQ(::utimensat(AT_FDCWD, file().c_str(), times, 0), 0);
    EXPECT_EQ(machine(), "pc-i440fx-7.2");
    // And without the time it is.
    ASSERT_EQ(::utimensat(AT_FDCWD, file().c_str(), nullptr, 0), 0);
    EXPECT_THROW(machine(), Failure);
}

TEST_F(KnownStateInMemory, AnothersWriteIsRead) {
    write(state_of("pc-i440fx-7.2"));
    EXPECT_FALSE(save_state(directory_.path(), state_of("pc-i440fx-7.1"))); // of the same size
    EXPECT_EQ(machine(), "pc-i440fx-7.1");
    write(state_of("pc-i440fx-7.0"));
    EXPECT_EQ(machine(), "pc-i440fx-7.0");
}

TEST_F(KnownStateInMemory, OneThatIsGoneIsNotThere) {
    write(state_of("pc"));
    std::filesystem::remove(file());
    EXPECT_EQ(machine(), "none");
}

TEST_F(KnownStateInMemory, OneThatIsAnothersNowIsNotTrusted) {
    if (::geteuid() != 0)
        GTEST_SKIP() << "needs root, to give a file away";
    write(state_of("pc"));
    ASSERT_EQ(::chown(file().c_str(), 4711, 4711), 0);
    const auto failure = failure_of([&] { machine(); });
    EXPECT_EQ(failure.code(), Errc::state_corrupt);
    EXPECT_THAT(failure.what(), HasSubstr("belongs to user 4711"));
}

TEST(KnownState, ReadsWhatWasNeverWritten) {
    TempDir directory;
    EXPECT_FALSE(save_state(directory.path(), state_of("pc")));
    EXPECT_EQ(KnownState().load(directory.path())->machine, "pc");
}

TEST(ReadOwn, OfWhatIsNoFileOfOursTellsWhy) {
    TempDir directory;
    const auto at = [&](const char* name) { return (directory.path() / name).string(); };
    std::ofstream(at("file")) << "text";
    EXPECT_EQ(read_own(at("file")).bytes, "text");
    EXPECT_EQ(read_own(at("not there")).bytes, std::nullopt);
    EXPECT_EQ(read_own(at("not there")).distrust, "");
    EXPECT_EQ(read_own(at("file") + "/below").distrust, "");

    std::filesystem::create_directory(at("directory"));
    std::filesystem::create_symlink(at("file"), at("link"));
    ASSERT_EQ(::mkfifo(at("fifo").c_str(), 0600), 0);
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{AF_UNIX, {}};
    at("socket").copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ::close(fd);
    for (const char* name : {"directory", "link", "fifo", "socket"}) {
        const auto read = read_own(at(name));
        EXPECT_EQ(read.bytes, std::nullopt) << name;
        EXPECT_EQ(read.distrust, at(name) + " is no regular file");
    }
}

TEST(ReadOwn, IsBounded) {
    TempDir directory;
    const auto file = (directory.path() / "file").string();
    std::ofstream(file) << std::string(100, 'x');
    EXPECT_EQ(read_own(file, 100).bytes->size(), 100u);
    const auto failure = failure_of([&] { read_own(file, 99); });
    EXPECT_EQ(failure.code(), Errc::host_io);
    EXPECT_THAT(failure.what(), HasSubstr(file + " is longer than 99 bytes"));
    EXPECT_EQ(read_own("/proc/self/status", 65536).bytes->substr(0, 5), "Name:"); // of no size
}

} // namespace
} // namespace kata_vfio::plugin
