// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/abi/collected.hpp"

#include <chrono>

namespace kata_vfio::abi {

void Collected::expect(std::uint64_t ticket) {
    const std::lock_guard lock(mutex_);
    results_.try_emplace(ticket);
}

void Collected::deliver(std::uint64_t ticket, std::unique_ptr<ResultBox> result) {
    {
        const std::lock_guard lock(mutex_);
        results_[ticket] = std::move(result);
    }
    // Outside: a waiter woken under the lock runs into it, and is put to sleep and woken once more.
    arrived_.notify_all();
}

Collected::Wait Collected::wait(std::uint64_t ticket, std::int64_t timeout_ms,
                                std::unique_ptr<ResultBox>& result) {
    std::unique_lock lock(mutex_);
    const auto settled = [&] {
        const auto found = results_.find(ticket);
        return found == results_.end() || found->second;
    };
    if (timeout_ms < 0)
        arrived_.wait(lock, settled);
    else if (!arrived_.wait_for(lock, std::chrono::milliseconds(timeout_ms), settled))
        return Wait::timed_out;
    const auto found = results_.find(ticket);
    if (found == results_.end())
        return Wait::unknown;
    result = std::move(found->second);
    results_.erase(found);
    arrived_.notify_all(); // a second waiter on the same ticket must not sleep on
    return Wait::collected;
}

} // namespace kata_vfio::abi
