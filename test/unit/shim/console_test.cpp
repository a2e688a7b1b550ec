// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/vm/console.hpp"

#include "config/base/file.hpp"
#include "runtime-plugin/shim/vm/child.hpp"
#include "runtime-plugin/shim/vm/command_line.hpp"
#include "test/unit/plugin/temp_dir.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <optional>

namespace kata_vfio::shim {
namespace {
namespace fs = std::filesystem;
using ::testing::EndsWith;

class GuestConsole : public ::testing::Test {
  protected:
    void write(const std::string& text) const {
        ASSERT_EQ(::write(qemus.get(), text.data(), text.size()),
                  static_cast<ssize_t>(text.size()));
    }
    /// Bytes in the pipe.
    std::size_t waiting() const {
        int bytes = -1;
        EXPECT_EQ(::ioctl(qemus.get(), FIONREAD, &bytes), 0);
        return static_cast<std::size_t>(bytes);
    }

    plugin::TempDir dir;
    fs::path log = dir.path() / "console.log";
    boost::asio::io_context io{1};
    UniqueFd qemus;
    std::optional<Console> console{std::in_place, io, log, qemus};
};

TEST_F(GuestConsole, IsKeptAsItComes) {
    EXPECT_EQ(console->end(), "");
    write("Linux version 6.1\n");
    while (io.poll() > 0)
        continue;
    EXPECT_EQ(read_file(log), "Linux version 6.1\n");
    // By a machine that has died, and that nobody has read since.
    write("Kernel panic\n");
    qemus.reset();
    EXPECT_EQ(console->end(), "Linux version 6.1\nKernel panic");
    io.run(); // ends with the machine
    EXPECT_EQ(console->end(), "Linux version 6.1\nKernel panic");
}

TEST_F(GuestConsole, DoesNotFillTheHostsMemory) {
    const std::string line = std::string(4095, 'x') + "\n";
    constexpr std::size_t flood = std::size_t{20} << 20;
    for (std::size_t done = 0; done < flood; done += line.size()) {
        write(line);
        io.poll();
    }
    write("Kernel panic\n");
    qemus.reset();
    io.run();
    std::size_t kept = 0;
    for (const auto& file : fs::directory_iterator(dir.path()))
        kept += file.file_size();
    EXPECT_LE(kept, 2 * ChildLog::most_bytes);
    EXPECT_GE(kept, ChildLog::most_bytes);
    const auto end = console->end();
    EXPECT_EQ(end.size(), 2999u); // 3000 without the newline at the end
    EXPECT_THAT(end, EndsWith("xxx\nKernel panic"));
}

TEST_F(GuestConsole, LeavesOtherWorkItsTurn) {
    constexpr std::size_t flood = 512u << 10, turn = 64u << 10;
    ASSERT_GE(::fcntl(qemus.get(), F_SETPIPE_SZ, flood), 0);
    write(std::string(flood, 'x'));
    std::size_t others = 0;
    const std::function<void()> other = [&] {
        ++others;
        boost::asio::post(io, other);
    };
    other();
    for (auto left = waiting(); left > 0;) {
        ASSERT_EQ(io.run_one(), 1u);
        const auto now = waiting();
        EXPECT_LE(left - now, turn);
        left = now;
    }
    EXPECT_GE(others, flood / turn);
}

TEST_F(GuestConsole, EndsWithTheShimsInterest) {
    console.reset();
    io.run();
    EXPECT_EQ(::fcntl(qemus.get(), F_GETFD), FD_CLOEXEC) << "a program started later would keep it";
}

/// A boot sector for a serial port: that many 'x', an end, and the machine is reset.
std::string flood(std::uint32_t bytes) {
    std::string code;
    const auto add = [&](std::initializer_list<int> words) {
        for (const int byte : words)
            code.push_back(static_cast<char>(byte));
    };
    const auto wait = [&] {    // for the port to take a byte
        add({0xba, 0xfd, 0x03, // mov dx, 0x3fd
             0xec,             // in al, dx
             0xa8, 0x20,       // test al, 0x20
             0x74, 0xfb});     // jz: in
    };
    const auto say = [&](char what) {
        add({0xb2, 0xf8, 0xb0, what, 0xee}); // mov dl, 0xf8; mov al, what; out dx, al
    };
    add({0x66, 0xb9}); // mov ecx, bytes
    for (const int shift : {0, 8, 16, 24})
        add({static_cast<int>(bytes >> shift & 0xff)});
    const auto loop = code.size();
    wait();
    say('x');
    add({0x66, 0x49, 0x75}); // dec ecx; jnz: loop
    add({static_cast<int>(loop) - static_cast<int>(code.size()) - 1});
    for (const char what : std::string_view("\r\nthe end\n")) {
        wait();
        say(what);
    }
    wait();
    add({0xb0, 0xfe, 0xe6, 0x64}); // mov al, 0xfe; out 0x64, al
    add({0xf4, 0xeb, 0xfd});       // hlt, for ever
    code.resize(510);
    return code + "\x55\xaa";
}

class GuestConsoleOfQemu : public GuestConsole {
  protected:
    void SetUp() override {
        if (::access(qemu, X_OK) != 0)
            GTEST_SKIP() << "no " << qemu;
    }
    void start(std::uint32_t bytes) {
        const auto disk = dir.path() / "disk";
        write_atomically(disk, flood(bytes));
        Machine machine;
        machine.debug = true;
        machine.console_fd = qemus.get();
        const auto whole = command_line(machine);
        const auto from = std::ranges::find(whole, "-add-fd"),
                   to = std::ranges::find(whole, "-kernel");
        Child::Plan plan;
        plan.words = {qemu,       "-nodefaults",  "-no-user-config",
                      "-display", "none",         "-no-reboot",
                      "-machine", "pc,accel=tcg", "-m",
                      "32M",      "-drive",       "if=ide,format=raw,file=" + disk.native()};
        plan.words.insert(plan.words.end(), from, to);
        plan.log = dir.path() / "qemu.log";
        plan.kept = {qemus.get()};
        child.emplace(io, plan);
        qemus.reset();
    }
    std::optional<std::string> run() {
        std::optional<std::string> end;
        boost::asio::co_spawn(io, child->ended().wait_for(std::chrono::seconds(120)),
                              [&](const std::exception_ptr&, auto how) { end = how; });
        io.run();
        return end;
    }

    static constexpr const char* qemu = "/usr/bin/qemu-system-x86_64";
    std::optional<Child> child;
};

TEST_F(GuestConsoleOfQemu, IsBoundedAndItsEndTold) {
    constexpr std::uint32_t bytes = ChildLog::most_bytes + 5000;
    start(bytes);
    EXPECT_EQ(run(), ended_well) << last_words(dir.path() / "qemu.log");
    EXPECT_THAT(console->end(), EndsWith("xxx\r\nthe end"));
    EXPECT_LE(fs::file_size(log), ChildLog::most_bytes);
    const std::string end = "\r\nthe end\n";
    EXPECT_EQ(fs::file_size(log) + fs::file_size(log.native() + ".1"), bytes + end.size());
}

TEST_F(GuestConsoleOfQemu, DoesNotHoldAMachineWhoseShimIsGone) {
    // With as much in it as it holds.
    ASSERT_EQ(::fcntl(qemus.get(), F_SETFL, O_NONBLOCK), 0);
    const std::string page(4096, 'y');
    while (::write(qemus.get(), page.data(), page.size()) > 0)
        continue;
    console.reset();
    start(1000);
    EXPECT_EQ(run(), ended_well) << last_words(dir.path() / "qemu.log");
}

} // namespace
} // namespace kata_vfio::shim
