// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/reconnect.hpp"

#include <algorithm>

namespace kata_vfio::qemu {
namespace {

bool may_pass(Errc error) noexcept {
    switch (error) {
    case Errc::monitor_busy:
    case Errc::qmp_timeout:
    case Errc::qmp_protocol: // one bad message among the questions; a monitor is not_qmp or it is
    case Errc::qemu_gone:    // it has accepted us and hung up
        return true;
    default:
        return false;
    }
}

} // namespace

std::optional<std::chrono::milliseconds> retry_after(const ReconnectSituation& situation,
                                                     const ReconnectLimits& limits) {
    using Duration = std::chrono::milliseconds;
    if (situation.process_gone)
        return std::nullopt;
    if (situation.attempts == 0)
        return Duration(0);
    if (situation.crashed || !may_pass(situation.error) || situation.elapsed >= limits.total)
        return std::nullopt;
    // Far below what overflows: by then the pause has long been at its longest.
    const auto doublings = std::min(situation.attempts - 1, 20u);
    const auto pause = std::min(limits.first * (1u << doublings), limits.longest);
    return std::min<Duration>(pause, limits.total - situation.elapsed);
}

bool says_gone(Errc error) noexcept {
    return error == Errc::monitor_missing || error == Errc::monitor_refused ||
           error == Errc::qemu_gone;
}

} // namespace kata_vfio::qemu
