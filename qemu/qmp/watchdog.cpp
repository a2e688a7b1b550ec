// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/watchdog.hpp"

namespace kata_vfio::qemu {

void Watchdog::wrote(std::size_t in_flight, Clock::time_point now) {
    if (in_flight > 0 && !since_)
        since_ = now;
}

Watchdog::Change Watchdog::answered(std::size_t in_flight, Clock::time_point now) {
    if (in_flight > 0)
        since_ = now;
    else
        since_.reset();
    if (!unresponsive_)
        return Change::none;
    unresponsive_ = false;
    return Change::answering;
}

Watchdog::Change Watchdog::time_passed(Clock::time_point now) {
    if (unresponsive_ || !since_ || now < *since_ + limit_)
        return Change::none;
    unresponsive_ = true;
    return Change::unresponsive;
}

std::optional<Watchdog::Clock::time_point> Watchdog::wake_at() const {
    if (unresponsive_ || !since_)
        return std::nullopt;
    return *since_ + limit_;
}

} // namespace kata_vfio::qemu
