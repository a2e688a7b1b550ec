// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "test/abi/plugin_host.hpp"
#include "test/abi/snapshot.hpp"
#include "test/fixtures/fake_qmp/fake_machine.hpp"
#include "test/fixtures/fake_root/fake_kernel.hpp"
#include "test/fixtures/fake_root/fake_root.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::abi_test {

inline constexpr std::string_view gpu = "0000:00:02.0";
inline constexpr std::string_view physical = "0000:01:00.0";
inline constexpr std::string_view type8 = "i915-GVTg_V4_8";
inline constexpr std::string_view uuid_a = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";
inline constexpr std::string_view uuid_b = "a297db4a-f4c2-11e6-90f6-d3b88d6c9525";

/// The least that passes the policy; `vfio` goes into the [vfio] table, `timeouts` below it.
std::string configuration(std::string_view vfio = {}, std::string_view timeouts = {});

/// A host (the walkthrough's, with GVT-g), the kernel in it, a pc machine, a configuration file,
/// and a plugin on all of it with sandbox "sb1" open.
class World : public ::testing::Test {
  protected:
    World();
    ~World() override;

    /// Writes the configuration file; drop-ins go beside it, in config.d/.
    void configure(std::string_view text) const;
    /// Starts the kernel (after everything is populated) and the plugin.
    void start();
    /// start(), slots 2 to 4 of `machine` filled, sandbox "sb1" opened on it, and one attach and
    /// detach behind it, so that the state directory has what it has in use: what comes then can be
    /// compared whole.
    void start_with_sandbox();

    /// A new instance with another configuration, and "sb1" open in it again: what has to run into
    /// a limit of time gets a short one, and nothing else does.
    void restart(std::string_view text);

    /// The next attach asks QEMU for its root bus again: after a plug that failed, nothing is taken
    /// as known.
    void forget_bus();

    /// `physical`, a function with room for 3 virtual ones, on its driver.
    void populate_physical();

    Snapshot snapshot() const;
    /// Fails the test when `call` changed anything below the host root.
    void expect_untouched(const Snapshot& before) const;
    /// The call failed with this status, its parts are in one text each, and nothing changed.
    void expect_refused(const Answer& answer, kata_vfio_status_t status,
                        const Snapshot& before) const;

    /// Names below `directory` (a host path), "" when there are none or it does not exist.
    std::string names(std::string_view directory) const;
    /// The qdev ids of what was plugged by us.
    std::vector<std::string> plugged() const;
    std::string driver_of(std::string_view function) const;

    fake::FakeRoot root;
    std::filesystem::path config;
    std::unique_ptr<fake::FakeKernel> kernel;
    std::unique_ptr<fake::FakeMachine> machine;
    std::unique_ptr<PluginHost> host;
    kata_vfio_sandbox_t* sandbox = nullptr;

  private:
    std::filesystem::path directory_;
};

} // namespace kata_vfio::abi_test
