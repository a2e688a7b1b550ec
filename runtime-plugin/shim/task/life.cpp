// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/task/life.hpp"

#include "runtime-plugin/shim/ttrpc/status.hpp"

#include <csignal>

namespace kata_vfio::shim {
using ttrpc::Code;
using ttrpc::Error;

void Life::begin_start() {
    if (state_ != State::created)
        throw Error(Code::failed_precondition, state_ == State::stopped
                                                   ? "the process has ended"
                                                   : "the process is started already");
    state_ = State::starting;
}

bool Life::signal(int number, Exit& ended) {
    switch (state_) {
    case State::created:
        // There is no process yet that could handle one.
        if (number != SIGKILL && number != SIGTERM)
            throw Error(Code::failed_precondition, "the process is not started");
        ended.status = 128 + number;
        state_ = State::stopped;
        exit_ = ended;
        return false;
    case State::starting:
        throw Error(Code::failed_precondition, "the process is being started");
    case State::running:
        return true;
    case State::stopped:
        break;
    }
    throw Error(Code::not_found, "process already finished");
}

void Life::check_delete() const {
    if (state_ == State::running || state_ == State::starting)
        throw Error(Code::failed_precondition, "the process still runs");
}

void Life::check_exec() const {
    if (state_ != State::running)
        throw Error(Code::failed_precondition, "the container does not run");
}

std::optional<Exit> Life::started() {
    state_ = exit_ ? State::stopped : State::running;
    return exit_;
}

void Life::start_failed(Exit exit) {
    state_ = State::stopped;
    exit_ = exit;
}

bool Life::exited(Exit exit) {
    if (exit_)
        return false;
    exit_ = exit;
    if (state_ == State::starting)
        return false;
    state_ = State::stopped;
    return true;
}

} // namespace kata_vfio::shim
