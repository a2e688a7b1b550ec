// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>

namespace kata_vfio::qemu {

/// Tells a QEMU that is open but silent (SIGSTOP, a main loop held up) from one that has nothing to
/// say. Pure: the owner has the clock and the timer. Single-threaded.
///
/// QEMU works commands off in order, so the oldest unanswered one is what it works on: its time
/// runs from when it was written, or from the answer before it, whichever was later. Abandoned
/// commands count: giving up on one does not make QEMU answer. Events don't: QEMU can emit them
/// from other threads while its main loop hangs.
class Watchdog {
  public:
    using Clock = std::chrono::steady_clock;

    explicit Watchdog(std::chrono::milliseconds limit) : limit_(limit) {}

    enum class Change { none, unresponsive, answering };

    /// Commands went out; `in_flight` are unanswered now.
    void wrote(std::size_t in_flight, Clock::time_point now);
    /// A command was answered, whoever waited for it.
    Change answered(std::size_t in_flight, Clock::time_point now);
    Change time_passed(Clock::time_point now);

    /// When time_passed() may have something to tell; nullopt: not before the next wrote(). Never
    /// moves to an earlier moment, so a timer set for one may be left running.
    std::optional<Clock::time_point> wake_at() const;
    bool unresponsive() const noexcept { return unresponsive_; }
    std::chrono::milliseconds limit() const noexcept { return limit_; }

  private:
    std::chrono::milliseconds limit_;
    std::optional<Clock::time_point> since_; ///< of the oldest command's time; nullopt: none
    bool unresponsive_ = false;
};

} // namespace kata_vfio::qemu
