// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/vm/sandbox.hpp"

#include "config/base/failure.hpp"
#include "config/base/file.hpp"
#include "config/base/unique_fd.hpp"
#include "runtime-plugin/shim/log.hpp"
#include "runtime-plugin/shim/ttrpc/status.hpp"
#include "test/places/places.hpp"
#include "test/unit/plugin/temp_dir.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <filesystem>
#include <optional>
#include <string>

namespace kata_vfio::shim {
namespace {
namespace asio = boost::asio;

class SandboxEnd : public ::testing::Test {
  protected:
    /// Runs to its end; what it threw.
    std::exception_ptr run(asio::awaitable<void> work) {
        std::optional<std::exception_ptr> ended;
        asio::co_spawn(io, std::move(work),
                       [&](const std::exception_ptr& error) { ended = error; });
        io.restart();
        io.run();
        EXPECT_TRUE(ended.has_value()) << "it waits for ever";
        return ended.value_or(nullptr);
    }

    /// One that can be run.
    std::string file(const char* name, const std::string& text) const {
        const auto path = host.path() / name;
        write_atomically(path, text);
        ::chmod(path.c_str(), 0755);
        return path.native();
    }
    /// All that a boot needs until QEMU, this one, has been started.
    void configure(const std::string& qemu, const std::string& more) const {
        file("configuration.toml",
             "[hypervisor.qemu]\npath = \"" + qemu + "\"\nkernel = \"" + file("kernel", "x") +
                 "\"\ninitrd = \"" + file("initrd", "x") +
                 "\"\nmachine_type = \"pc\"\nmachine_accelerators = "
                 "\"accel=tcg\"\nhotplug_vfio_on_root_bus = true\n" +
                 more + "[vfio]\nstate_dir = \"" + (host.path() / "state").native() + "\"\n");
        std::filesystem::create_symlink("/proc", host.path() / "proc"); // what is mounted
        place.make();
        ::setenv("KATA_VFIO_PLUGIN", test::library, 1);
    }

    plugin::TempDir host;
    vfio::HostRoot root{host.path()};
    asio::io_context io{1};
    Place place{root, "k8s.io", "pod"};
    Sandbox sandbox{io, root, place, (host.path() / "configuration.toml").native()};
};

TEST_F(SandboxEnd, OfOneThatNeverWas) {
    EXPECT_EQ(run(sandbox.stop()), nullptr);
    EXPECT_EQ(run(sandbox.stop()), nullptr);
    EXPECT_FALSE(sandbox.running());
}

// containerd asks for the end of a shim whose Create it has seen fail.
TEST_F(SandboxEnd, AfterABootThatWasRefused) {
    const oci::Spec spec;
    const auto refused = run(sandbox.boot(spec, [](const std::string&) {}));
    ASSERT_NE(refused, nullptr);
    EXPECT_THROW(std::rethrow_exception(refused), Failure);
    EXPECT_EQ(run(sandbox.stop()), nullptr);
}

TEST_F(SandboxEnd, IsNotFollowedByABoot) {
    EXPECT_EQ(run(sandbox.stop()), nullptr);
    const oci::Spec spec;
    const auto refused = run(sandbox.boot(spec, [](const std::string&) {}));
    ASSERT_NE(refused, nullptr);
    EXPECT_THROW(std::rethrow_exception(refused), ttrpc::Error);
}

// Of the waits of a boot the one in which there is no QEMU yet whose end would end it.
TEST_F(SandboxEnd, WhileItsFileServerIsAskedWhatItIs) {
    if (::geteuid() != 0 || ::unshare(CLONE_NEWNS) != 0)
        GTEST_SKIP() << "only root mounts";
    ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    const auto asked = host.path() / "asked", answer = host.path() / "answer",
               began = host.path() / "began";
    for (const auto& fifo : {asked, answer})
        ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    const auto server =
        file("virtiofsd", "#!/bin/sh\n[ \"$1\" = --version ] || exit 0\necho >" + asked.native() +
                              "\nread -r word <" + answer.native() + "\necho virtiofsd 1.13.2\n");
    const auto qemu = file("qemu", "#!/bin/sh\ntouch " + began.native() + "\n");
    configure(qemu, "shared_fs = \"virtio-fs\"\nvirtio_fs_daemon = \"" + server + "\"\n");

    std::exception_ptr refused;
    bool stopped = false;
    const oci::Spec spec;
    // For both, so that opening them waits for nobody.
    asio::posix::stream_descriptor is_asked(io, ::open(asked.c_str(), O_RDWR | O_NONBLOCK));
    const UniqueFd to(::open(answer.c_str(), O_RDWR | O_CLOEXEC));
    asio::co_spawn(io, sandbox.boot(spec, [](const std::string&) {}),
                   [&](const std::exception_ptr& error) {
                       refused = error;
                       is_asked.cancel();
                   });
    char byte = 0;
    is_asked.async_read_some(asio::buffer(&byte, 1), [&](boost::system::error_code error, auto) {
        if (error)
            return;
        asio::co_spawn(io, sandbox.stop(),
                       [&](const std::exception_ptr& wrong) { stopped = !wrong; });
        asio::post(io, [&] {
            EXPECT_FALSE(stopped) << "the boot is under way";
            EXPECT_EQ(::write(to.get(), "\n", 1), 1);
        });
    });
    io.run();
    EXPECT_TRUE(stopped);
    ASSERT_NE(refused, nullptr);
    try {
        std::rethrow_exception(refused);
    } catch (const std::exception& error) {
        EXPECT_STREQ(error.what(), "the sandbox was stopped before it was up");
    }
    EXPECT_FALSE(std::filesystem::exists(began)) << "QEMU was started";
    EXPECT_FALSE(sandbox.running());
}

TEST_F(SandboxEnd, TellsWhatTheGuestSaidLast) {
    if (::geteuid() != 0 || ::unshare(CLONE_NEWNS) != 0)
        GTEST_SKIP() << "only root mounts";
    ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    const auto qemu = file("qemu", "#!/bin/sh\nfor word; do case $word in set=1,fd=*)\n"
                                   "echo 'Kernel panic - not syncing' "
                                   ">/proc/self/fd/${word##*=};; esac; done\nexit 1\n");
    configure(qemu, "enable_debug = true\n");
    const oci::Spec spec;
    log_enable(true);
    ::testing::internal::CaptureStderr();
    const auto refused = run(sandbox.boot(spec, [](const std::string&) {}));
    const auto said = ::testing::internal::GetCapturedStderr();
    log_enable(false);
    ASSERT_NE(refused, nullptr);
    try {
        std::rethrow_exception(refused);
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.code(), Errc::qemu_gone) << failure.what();
    }
    EXPECT_NE(said.find("msg=\"the guest's console, its end\" text=\"Kernel panic - not syncing\""),
              std::string::npos)
        << said;
    EXPECT_EQ(read_file(place.at("console.log")), "Kernel panic - not syncing\n");
}

} // namespace
} // namespace kata_vfio::shim
