// SPDX-License-Identifier: Apache-2.0
#include "qemu/machine.hpp"

#include "session_support.hpp"
#include "test/fixtures/fake_qmp/fake_machine.hpp"

using namespace kata_vfio;
using namespace kata_vfio::qemu;
using fake::failure_of;
using fake::FakeMachine;
using fake::run;
namespace asio = boost::asio;

TEST(Machine, PcFamilyOnly) {
    for (const char* type : {"pc-i440fx-7.2-machine", "pc-i440fx-jammy-machine", "pc-1.3-machine"})
        EXPECT_TRUE(is_pc_machine(type)) << type;
    for (const char* type : {"pc-q35-7.2-machine", "q35", "microvm-machine", "isapc-machine",
                             "none-machine", "pc-", "", "xpc-i440fx-7.2-machine"})
        EXPECT_FALSE(is_pc_machine(type)) << type;
}

TEST(Machine, RunStateNeedsAStatus) {
    EXPECT_TRUE(parse_run_state({{"status", "running"}, {"running", true}}).running);
    EXPECT_FALSE(parse_run_state({{"status", "brand-new"}, {"running", false}}).running);
    EXPECT_TRUE(parse_run_state({{"status", "prelaunch"}, {"running", false}}).before_start());
    EXPECT_THROW((void)parse_run_state(5), Failure);
    EXPECT_THROW((void)parse_run_state({{"status", 5}, {"running", false}}), Failure);
}

TEST(Machine, LiveQ35IsRefusedByName) {
    const auto type = [](std::string path) -> asio::awaitable<std::string> {
        const auto session = co_await Session::connect(std::move(path), patient());
        co_return co_await require_pc_machine(*session);
    };
    FakeMachine pc;
    EXPECT_EQ(run([&] { return type(pc.path()); }), "pc-i440fx-7.2");
    FakeMachine::Options options;
    options.machine = "pc-q35-7.2-machine";
    FakeMachine q35(options);
    const auto failure = failure_of([&] { return type(q35.path()); });
    EXPECT_EQ(failure.code(), Errc::live_machine_refused);
    EXPECT_STREQ(failure.what(),
                 "the running QEMU's machine is 'pc-q35-7.2', not pc; start the sandbox "
                 "with machine_type = \"pc\"");
    EXPECT_EQ(q35.count("device_add"), 0u);
}
