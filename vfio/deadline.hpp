// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>

namespace kata_vfio::vfio {

/// A point in time (steady clock) until which a call may wait. Made from a duration, so that a call
/// reads `remove(root, uuid, 2s)`, and handed down whole, so that a sequence of waits shares it.
class Deadline {
  public:
    using Clock = std::chrono::steady_clock;

    // Implicit on purpose: a duration is how every caller thinks of it.
    template <class Rep, class Period>
    Deadline(std::chrono::duration<Rep, Period> from_now)
        : at_(Clock::now() + std::chrono::duration_cast<Clock::duration>(from_now)) {}
    explicit Deadline(Clock::time_point at) : at_(at) {}

    bool passed() const { return Clock::now() >= at_; }
    Clock::time_point at() const noexcept { return at_; }

    /// What is left for poll(2): milliseconds rounded up, so that it never returns early; 0 when
    /// the deadline has passed.
    int poll_ms() const {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(at_ - Clock::now()).count();
        return static_cast<int>(std::clamp<long long>(left, 0, 1 << 30));
    }

  private:
    Clock::time_point at_;
};

} // namespace kata_vfio::vfio
