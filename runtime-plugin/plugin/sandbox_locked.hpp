// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/plugin/sandbox.hpp"

namespace kata_vfio::plugin {

/// What an operation on a sandbox holds while it runs. Members are released last first: the lock
/// between processes before the turn within this one.
struct Sandbox::Locked {
    Locked(Turnstile::Turn taken, FileLock held, SandboxState loaded)
        : turn(std::move(taken)), lock(std::move(held)), state(std::move(loaded)) {}

    Turnstile::Turn turn;
    FileLock lock;
    SandboxState state;
};

} // namespace kata_vfio::plugin
