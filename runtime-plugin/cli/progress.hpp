// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

namespace kata_vfio::cli {

/// What a call is doing, on stderr: nothing while it is quick, its steps so far and each new one
/// once it takes longer than a second. The time is given by the caller. One thread.
///
///       0.1 s  create vGPU bbc4... of type i915-GVTg_V4_8 on 0000:00:02.0
class Progress {
  public:
    using Clock = std::chrono::steady_clock;
    static constexpr std::chrono::seconds patience{1};

    enum class Show {
        when_slow,
        at_once, ///< --verbose
        never,   ///< --json: a program waits, and may have stderr in the same pipe
    };

    Progress(std::ostream& err, Show show, Clock::time_point start)
        : err_(err), start_(start), show_(show) {}

    void step(const std::string& text, Clock::time_point now);
    /// To be called when wake() has come.
    void tick(Clock::time_point now);
    std::optional<Clock::time_point> wake() const;
    /// From here on everything is shown at once: somebody waits for the end of it.
    void show_all();

    /// The steps begun so far, in order.
    const std::vector<std::string>& steps() const noexcept { return steps_; }

  private:
    void flush();

    std::ostream& err_;
    Clock::time_point start_;
    Show show_;
    std::vector<std::string> steps_, held_back_;
};

} // namespace kata_vfio::cli
