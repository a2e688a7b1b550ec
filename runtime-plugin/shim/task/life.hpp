// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace kata_vfio::shim {

struct Exit {
    int status = 0; ///< 0 to 255
    std::chrono::system_clock::time_point at;
};

/// How far one process (a container's first, or an exec) has come, and which calls it then takes.
/// Pure; the errors are those containerd counts on.
///
///     created -> starting -> running -> stopped
///        |          +-- failed -----------^
///        +-- killed before it was started -^
class Life {
  public:
    enum class State { created, starting, running, stopped };
    State state() const noexcept { return state_; }
    const std::optional<Exit>& exit() const noexcept { return exit_; }

    // Each throws ttrpc::Error when the call is not to be had now.
    void begin_start();
    /// What becomes of a signal: true, it is for the guest; false, it ended what was never started.
    bool signal(int number, Exit& ended);
    void check_delete() const;
    void check_exec() const;

    /// It runs. An exit that was told before this is the returned one.
    std::optional<Exit> started();
    void start_failed(Exit exit);
    /// The guest says it has ended, or there is no guest any more. True: it is to be told on;
    /// false: it was known, or waits for started().
    bool exited(Exit exit);

  private:
    State state_ = State::created;
    std::optional<Exit> exit_;
};

} // namespace kata_vfio::shim
