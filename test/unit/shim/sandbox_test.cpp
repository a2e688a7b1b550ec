// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/vm/sandbox.hpp"

#include "config/base/failure.hpp"
#include "runtime-plugin/shim/ttrpc/status.hpp"
#include "test/unit/plugin/temp_dir.hpp"

#include <boost/asio/co_spawn.hpp>
#include <gtest/gtest.h>

#include <exception>
#include <optional>

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

} // namespace
} // namespace kata_vfio::shim
