// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

namespace kata_vfio::plugin {

/// On whose behalf an operation runs.
struct Caller {
    std::uint64_t ticket = 0; ///< for progress; 0: nobody's
    /// Set once, from any thread, when the caller no longer wants it; null: never. A flag beside
    /// Asio's cancellation state, because that one can't be seen from the pool's threads and is
    /// forgotten when an undo in between shields itself.
    std::shared_ptr<const std::atomic<bool>> cancelled;

    bool gave_up() const noexcept { return cancelled && cancelled->load(); }
};

} // namespace kata_vfio::plugin
