// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/proxy/scheduler.hpp"

namespace kata_vfio::qemu {

std::optional<ProxyScheduler::Start> ProxyScheduler::next() {
    if (waiting_.empty() || in_flight_.size() >= max_in_flight_)
        return std::nullopt;
    const Start start{next_ticket_++, waiting_.front()};
    waiting_.pop_front();
    in_flight_.emplace(start.ticket, start.client);
    return start;
}

std::optional<ProxyClientId> ProxyScheduler::done(ProxyTicket ticket) {
    const auto found = in_flight_.find(ticket);
    if (found == in_flight_.end())
        return std::nullopt;
    const auto client = found->second;
    in_flight_.erase(found);
    return client;
}

void ProxyScheduler::leave(ProxyClientId client) {
    std::erase(waiting_, client);
    for (auto& [ticket, whose] : in_flight_)
        if (whose == client)
            whose.reset();
}

} // namespace kata_vfio::qemu
