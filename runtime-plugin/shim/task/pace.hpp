// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>

namespace kata_vfio::shim {

/// How often what the guest says is passed on: a guest that never stops saying it fills neither the
/// log nor containerd's queue of events, out of which it would push other events. Pure.
class Pace {
  public:
    using Clock = std::chrono::steady_clock;
    explicit Pace(Clock::duration least) : least_(least) {}

    /// Whether it may be passed on now: the first, and then what comes `least` behind the one
    /// before that was.
    bool admits(Clock::time_point now) {
        if (last_ && now - *last_ < least_)
            return false;
        last_ = now;
        return true;
    }

  private:
    Clock::duration least_;
    std::optional<Clock::time_point> last_;
};

} // namespace kata_vfio::shim
