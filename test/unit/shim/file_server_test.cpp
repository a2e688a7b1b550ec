// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/vm/file_server.hpp"

#include "config/base/failure.hpp"
#include "config/base/file.hpp"
#include "test/unit/plugin/temp_dir.hpp"

#include <boost/asio/co_spawn.hpp>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>

namespace kata_vfio::shim {
namespace {
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST(FileServerKindOf, TheirOwnWords) {
    EXPECT_EQ(file_server_kind("virtiofsd version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)\n"
                               "Copyright (c) 2003-2022 Fabrice Bellard and the QEMU Project\n"
                               "using FUSE kernel interface version 7.36"),
              FileServerKind::c);
    for (const auto* words : {"virtiofsd 1.13.2", "virtiofsd backend 1.4.0\n"})
        EXPECT_EQ(file_server_kind(words), FileServerKind::rust) << words;
    for (const auto* words :
         {"", "virtiofsd", "virtiofsd version", "virtiofsd --help", "QEMU emulator version 7.2.22",
          "sh: virtiofsd 1.13.2: not found", "virtiofsd-wrapper 1.0"})
        EXPECT_EQ(file_server_kind(words), std::nullopt) << words;
}

config::Hypervisor with_server() {
    config::Hypervisor h;
    h.virtio_fs_daemon = "/v";
    return h;
}

TEST(FileServerLine, OfC) {
    auto h = with_server();
    EXPECT_THAT(file_server_line(FileServerKind::c, h, 5, "/share"),
                ElementsAre("/v", "--fd=5", "-o",
                            "source=/share,sandbox=namespace,xattr,announce_submounts,"
                            "cache=auto,modcaps=-mknod"));
    h.virtio_fs_cache = "never";
    h.virtio_fs_extra_args = {"--thread-pool-size=1", "-o", "no_xattr"};
    EXPECT_THAT(file_server_line(FileServerKind::c, h, 5, "/a,b"),
                ElementsAre("/v", "--fd=5", "-o",
                            "source=/a\\,b,sandbox=namespace,xattr,announce_submounts,"
                            "cache=none,modcaps=-mknod",
                            "--thread-pool-size=1", "-o", "no_xattr"));
    h.virtio_fs_cache = "metadata";
    try {
        file_server_line(FileServerKind::c, h, 5, "/share");
        FAIL() << "nothing was thrown";
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.code(), Errc::config_invalid);
        EXPECT_THAT(failure.what(), HasSubstr("virtio_fs_cache = \"metadata\""));
    }
}

TEST(FileServerLine, OfRust) {
    auto h = with_server();
    EXPECT_THAT(file_server_line(FileServerKind::rust, h, 5, "/a,b"),
                ElementsAre("/v", "--fd=5", "--shared-dir=/a,b", "--sandbox=namespace", "--xattr",
                            "--announce-submounts", "--cache=auto", "--modcaps=-mknod"));
    h.virtio_fs_cache = "none";
    EXPECT_THAT(file_server_line(FileServerKind::rust, h, 5, "/s"), Contains("--cache=never"));
    h.virtio_fs_cache = "metadata";
    // It refuses an option that is there twice; a stock file of Kata's has one of ours.
    h.virtio_fs_extra_args = {"--thread-pool-size=1", "--announce-submounts", "--sandbox=chroot"};
    EXPECT_THAT(file_server_line(FileServerKind::rust, h, 5, "/s"),
                ElementsAre("/v", "--fd=5", "--shared-dir=/s", "--xattr", "--cache=metadata",
                            "--modcaps=-mknod", "--thread-pool-size=1", "--announce-submounts",
                            "--sandbox=chroot"));
}

class FileServerStart : public ::testing::Test {
  protected:
    void SetUp() override {
        place.make();
        std::filesystem::create_directories(place.shared());
    }
    std::string program(const std::string& text, mode_t mode = 0755) {
        const auto path = host.path() / "program";
        write_atomically(path, text);
        ::chmod(path.c_str(), mode);
        return path.native();
    }
    /// What it is refused with; "" when it was started: then until it has ended.
    std::string start(const std::string& path) {
        auto h = with_server();
        h.virtio_fs_daemon = path;
        std::string refusal;
        boost::asio::co_spawn(
            io,
            [](FileServerStart& self, config::Hypervisor settings) -> boost::asio::awaitable<void> {
                UniqueFd qemu_end;
                const HostCgroup cgroup;
                const auto server =
                    co_await FileServer::start(self.io, settings, self.place, cgroup, qemu_end);
                qemu_end.reset();
                self.end = co_await server->ended().wait_for(std::chrono::seconds(20));
                self.failed = server->failed();
            }(*this, h),
            [&](const std::exception_ptr& error) {
                try {
                    if (error)
                        std::rethrow_exception(error);
                } catch (const Failure& failure) {
                    EXPECT_EQ(failure.code(), Errc::config_invalid);
                    refusal = failure.what();
                }
            });
        io.run();
        io.restart();
        return refusal;
    }

    plugin::TempDir host;
    Place place{vfio::HostRoot(host.path()), "k8s.io", "pod"};
    boost::asio::io_context io;
    std::optional<std::string> end;
    bool failed = false;
};

TEST_F(FileServerStart, IsRefusedWithoutAProgram) {
    const auto absent = start("/nowhere/virtiofsd");
    EXPECT_THAT(absent, HasSubstr("there is no /nowhere/virtiofsd"));
    EXPECT_THAT(absent, HasSubstr("qemu-system-common"));
    EXPECT_THAT(start(host.path().native()), HasSubstr("is no file"));
    EXPECT_THAT(start(program("#!/bin/sh\n", 0644)), HasSubstr("is not executable"));
}

TEST_F(FileServerStart, IsRefusedWithAnotherProgram) {
    const auto other = start(program("#!/bin/sh\necho \"what is $1?\" >&2\nexit 3\n"));
    EXPECT_THAT(other, HasSubstr("is not virtiofsd"));
    EXPECT_THAT(other, HasSubstr("exit status 3"));
    EXPECT_THAT(other, HasSubstr("what is --version?"));
    EXPECT_THAT(start("/bin/true"), HasSubstr("is not virtiofsd"));
    for (const auto& left : std::filesystem::directory_iterator(place.directory()))
        EXPECT_EQ(left.path(), place.shared());
}

TEST_F(FileServerStart, ToldFromOneThatEndsWithItsQemu) {
    constexpr auto script = "#!/bin/sh\n[ $1 = --version ] && echo virtiofsd 1.13.2 && exit\n";
    EXPECT_EQ(start(program(std::string(script) + "exit 0\n")), "");
    EXPECT_FALSE(failed);
    EXPECT_EQ(start(program(std::string(script) + "echo \"can not $2\"; exit 1\n")), "");
    EXPECT_TRUE(failed);
    EXPECT_EQ(last_words(place.at("virtiofsd.log")),
              "can not --shared-dir=" + place.shared().native());
}

// Debian's; without its connection it ends.
TEST_F(FileServerStart, TheRealOne) {
    const auto path = config::Hypervisor().virtio_fs_daemon;
    if (::geteuid() != 0 || ::access(path.c_str(), X_OK) != 0)
        GTEST_SKIP() << "needs root and " << path;
    EXPECT_EQ(start(path), "");
    EXPECT_EQ(end, std::string(ended_well)) << last_words(place.at("virtiofsd.log"));
}

} // namespace
} // namespace kata_vfio::shim
