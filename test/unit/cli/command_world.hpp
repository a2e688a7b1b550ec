// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "command.hpp"
#include "test/fixtures/fake_qmp/fake_machine.hpp"
#include "test/fixtures/fake_root/fake_kernel.hpp"
#include "test/fixtures/fake_root/fake_root.hpp"
#include "test/places/places.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

namespace kata_vfio::cli {

/// The command on the walkthrough's host, as files.
struct HostWorld : testing::Test {
    HostWorld() {
        ::unsetenv("KATA_CONF_FILE");
        root.populate_gvt_host();
    }

    std::vector<std::string> with_root(std::vector<std::string> args) const {
        args.insert(args.begin(), {"--root", root.path().string()});
        return args;
    }
    Done run(std::vector<std::string> args) const { return command(with_root(std::move(args))); }
    boost::json::object ok(std::vector<std::string> args) const {
        args.push_back("--json");
        const auto done = run(std::move(args));
        EXPECT_EQ(done.status, 0) << done.out << done.err;
        EXPECT_EQ(done.err, "") << "a program may have it in the same pipe";
        return done.json();
    }

    fake::FakeRoot root;
};

/// The same with the plugin loaded from its library, the kernel played, and a simulated pc machine.
struct SandboxWorld : HostWorld {
    SandboxWorld() {
        ::setenv("KATA_VFIO_PLUGIN", test::library, 1);
        configure();
    }
    ~SandboxWorld() override { ::unsetenv("KATA_VFIO_PLUGIN"); }

    void configure(const std::string& more = "", const std::string& machine_type = "pc") const {
        root.write("/etc/kata-containers/configuration.toml",
                   "[hypervisor.qemu]\nmachine_type = \"" + machine_type +
                       "\"\nhotplug_vfio_on_root_bus = true\n" + more);
    }
    /// mtty, and the network card 0000:00:03.0 in group 3. Before play(), which looks once at what
    /// there is.
    void populate_more() {
        root.populate_mtty();
        root.populate_function({.address = "0000:00:03.0",
                                .device = 0x10d3,
                                .class_code = 0x020000,
                                .driver = "e1000e",
                                .group = 3});
    }
    void play() { kernel = std::make_unique<fake::FakeKernel>(root); }

    void open() const { ok({"sandbox", "open", "s1", "--qmp", machine.path()}); }

    std::unique_ptr<fake::FakeKernel> kernel;
    fake::FakeMachine machine;
};

} // namespace kata_vfio::cli
