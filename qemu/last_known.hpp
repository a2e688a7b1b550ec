// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "qemu/machine.hpp"
#include "qemu/pci_slots.hpp"
#include "qemu/qmp/message.hpp"

#include <boost/json/value.hpp>

#include <optional>
#include <set>
#include <string>
#include <vector>

namespace kata_vfio::qemu {

/// What a QEMU was last known to be and to have, so that what happened while nobody listened can be
/// told from what it is now. QEMU keeps no event for a client that is away.
struct LastKnown {
    RunState state;
    std::set<std::string> devices; ///< ids in /machine/peripheral
    std::optional<RootBus> bus;    ///< only after a reconnect: nobody needs it before

    /// STOP, RESUME, SHUTDOWN, GUEST_PANICKED, SUSPEND, WAKEUP and DEVICE_DELETED with an id;
    /// others change nothing.
    void apply(const Event& event);
};

/// The events that QEMU must have emitted between the two, `synthesised` and without times:
/// removals in the order of their ids, then the change of the run state. A device that is new is no
/// event in QMP either. STOP and RESUME that cancel out can't be seen. Pure.
std::vector<Event> missed_events(const LastKnown& before, const LastKnown& after);

/// query-status and qom-list, sent together, and query-pci with them if asked for. Throws what
/// Session::execute() throws, qmp_protocol.
boost::asio::awaitable<LastKnown> ask_what_is_there(Session& session, bool with_bus);

} // namespace kata_vfio::qemu
