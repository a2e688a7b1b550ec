// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/task/life.hpp"

#include "runtime-plugin/shim/ttrpc/status.hpp"

#include <gtest/gtest.h>

#include <csignal>

namespace kata_vfio::shim {
namespace {
using ttrpc::Code;

template <class F>
Code code_of(F&& call) {
    try {
        call();
    } catch (const ttrpc::Error& error) {
        return error.code();
    }
    return Code::ok;
}
Exit exit_with(int status) {
    return Exit{status, std::chrono::system_clock::now()};
}

TEST(Life, FromCreateToDelete) {
    Life life;
    EXPECT_EQ(code_of([&] { life.check_exec(); }), Code::failed_precondition);
    life.begin_start();
    EXPECT_EQ(code_of([&] { life.begin_start(); }), Code::failed_precondition);
    EXPECT_EQ(code_of([&] { life.check_delete(); }), Code::failed_precondition);
    EXPECT_FALSE(life.started());
    EXPECT_EQ(life.state(), Life::State::running);
    EXPECT_EQ(code_of([&] { life.check_delete(); }), Code::failed_precondition);
    Exit ended = exit_with(0);
    EXPECT_TRUE(life.signal(SIGTERM, ended));
    EXPECT_TRUE(life.exited(exit_with(143)));
    EXPECT_FALSE(life.exited(exit_with(255))) << "it ends once";
    EXPECT_EQ(life.exit()->status, 143);
    // What containerd sends after every exec, on purpose.
    EXPECT_EQ(code_of([&] { life.signal(SIGKILL, ended); }), Code::not_found);
    EXPECT_EQ(code_of([&] { life.check_delete(); }), Code::ok);
}

TEST(Life, AnExitBeforeTheStartIsToldAfterIt) {
    Life life;
    life.begin_start();
    EXPECT_FALSE(life.exited(exit_with(3))) << "the start is not told yet";
    EXPECT_EQ(life.state(), Life::State::starting);
    const auto exit = life.started();
    ASSERT_TRUE(exit);
    EXPECT_EQ(exit->status, 3);
    EXPECT_EQ(life.state(), Life::State::stopped);
}

TEST(Life, WhatWasNeverStartedCanBeKilledAndDeleted) {
    Life life;
    Exit ended = exit_with(0);
    EXPECT_EQ(code_of([&] { life.signal(SIGUSR1, ended); }), Code::failed_precondition);
    EXPECT_FALSE(life.signal(SIGKILL, ended));
    EXPECT_EQ(ended.status, 137);
    EXPECT_EQ(code_of([&] { life.begin_start(); }), Code::failed_precondition);
    EXPECT_EQ(code_of([&] { life.check_delete(); }), Code::ok);
    Life other;
    EXPECT_EQ(code_of([&] { other.check_delete(); }), Code::ok);
}

TEST(Life, AFailedStartIsAnEnd) {
    Life life;
    life.begin_start();
    life.start_failed(exit_with(127));
    EXPECT_EQ(life.state(), Life::State::stopped);
    EXPECT_EQ(life.exit()->status, 127);
    EXPECT_FALSE(life.exited(exit_with(255)));
}

} // namespace
} // namespace kata_vfio::shim
