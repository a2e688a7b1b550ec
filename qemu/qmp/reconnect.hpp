// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"

#include <chrono>
#include <optional>

namespace kata_vfio::qemu {

/// How often, how long. Not an aggregate on purpose (see FrameLimits).
struct ReconnectLimits {
    using Duration = std::chrono::milliseconds;

    /// The pause behind the first attempt that failed; each further one is twice as long.
    Duration first{20};
    /// A person who has the monitor lets it go at a moment nobody knows: asked once a second.
    Duration longest{1000};
    /// From the loss until it is given up; see Timeouts::reconnect.
    Duration total{10000};

    ReconnectLimits() {}
};

/// Where a reconnect stands.
struct ReconnectSituation {
    unsigned attempts = 0;                ///< made since the loss
    std::chrono::milliseconds elapsed{0}; ///< since the loss
    Errc error = Errc::qemu_gone;         ///< of the last attempt; of the loss itself before any
    bool crashed = false;                 ///< Session::crashed()
    bool process_gone = false;            ///< the QEMU process is known to have ended
};

/// After how long to connect again; nullopt: give up, the last error is the reason. Pure.
///
/// A QEMU that lives accepts the next client at once, so the first attempt is immediate, and one
/// that ends is refused at once, so nobody waits for the dead. Worth waiting for are a monitor that
/// another client has taken, and a QEMU that hangs or drops us again. Behind a crash there is one
/// look and no more: what listens there then is not the QEMU we had.
std::optional<std::chrono::milliseconds> retry_after(const ReconnectSituation& situation,
                                                     const ReconnectLimits& limits);

/// Whether a failure to connect says that nobody is there any more, as opposed to a monitor that
/// can't be had (monitor_busy), does not answer, or may not be opened.
bool says_gone(Errc error) noexcept;

} // namespace kata_vfio::qemu
