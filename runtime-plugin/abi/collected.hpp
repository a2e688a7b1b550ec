// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/abi/result_box.hpp"

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

namespace kata_vfio::abi {

/// The results of calls made without a callback, kept until wait() collects them. [any-thread]
class Collected {
  public:
    enum class Wait { collected, timed_out, unknown };

    /// A call was started under this ticket. Its result may have been delivered before.
    void expect(std::uint64_t ticket);
    void deliver(std::uint64_t ticket, std::unique_ptr<ResultBox> result);

    /// Waits for the result; timeout_ms < 0 is for ever. `unknown`: never expected, or collected by
    /// another waiter.
    Wait wait(std::uint64_t ticket, std::int64_t timeout_ms, std::unique_ptr<ResultBox>& result);

  private:
    std::mutex mutex_;
    std::condition_variable arrived_;
    std::map<std::uint64_t, std::unique_ptr<ResultBox>> results_; ///< null: not finished yet
};

} // namespace kata_vfio::abi
