// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <benchmark/benchmark.h>

#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <vector>

namespace kata_vfio::bench {

using Clock = std::chrono::steady_clock;

/// CPU time of the calling thread, in us.
inline double thread_cpu_us() {
    timespec spent{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
    return static_cast<double>(spent.tv_sec) * 1e6 + static_cast<double>(spent.tv_nsec) / 1e3;
}

/// Times of single operations, told as Google Benchmark's counters.
class Series {
  public:
    void add(Clock::duration took) {
        us_.push_back(std::chrono::duration<double, std::micro>(took).count());
    }

    double quantile(double q) {
        if (us_.empty())
            return 0;
        const auto at =
            us_.begin() + static_cast<std::ptrdiff_t>(q * static_cast<double>(us_.size() - 1));
        std::nth_element(us_.begin(), at, us_.end());
        return *at;
    }

    void report(benchmark::State& state) {
        state.counters["p50_us"] = quantile(0.5);
        state.counters["p99_us"] = quantile(0.99);
    }

    std::size_t size() const { return us_.size(); }

  private:
    std::vector<double> us_;
};

} // namespace kata_vfio::bench
