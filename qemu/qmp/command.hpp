// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"

#include <boost/json/object.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace kata_vfio::qemu {

/// Which deadline a command gets. VFIO is in the slow class: device_add pins all guest memory.
enum class CommandClass { query, device_add, device_del };

/// One QMP command before it has an id. Not an aggregate on purpose (see FrameLimits).
struct Command {
    std::string name;
    boost::json::object arguments;
    CommandClass cls = CommandClass::query;
    /// Goes with the command (SCM_RIGHTS), for getfd and add-fd. The session closes it as soon as
    /// it is written, or will not be (abandoned, connection lost): QEMU then has one of its own, or
    /// none. Shared, so that a Command can be copied.
    std::shared_ptr<const UniqueFd> fd;

    explicit Command(std::string command, boost::json::object args = {},
                     CommandClass deadline = CommandClass::query)
        : name(std::move(command)), arguments(std::move(args)), cls(deadline) {}
};

Command query_status();
Command query_pci();
Command qom_get(std::string path, std::string property);
Command qom_list(std::string path);
Command device_add(boost::json::object arguments);
Command device_del(std::string id);
/// Gives QEMU the descriptor under a name, until closefd or another getfd of that name.
Command getfd(UniqueFd fd, std::string name);
/// Into an fd set, for /dev/fdset/N. Answers {"fdset-id": N, "fd": number in QEMU}.
Command add_fd(UniqueFd fd, std::int64_t fdset);

/// The line to send, newline included: `{"execute":NAME,"arguments":{..},"id":ID}`; `arguments` is
/// left out when empty. Kept compact: QEMU reads its input one byte at a time.
std::string serialise(const Command& command, std::uint64_t id);

/// How long we wait for QEMU, and how long for the guest. The caller passes what is configured;
/// the defaults are for tests and tools. Not an aggregate on purpose (see FrameLimits).
struct Timeouts {
    using Duration = std::chrono::milliseconds;

    /// From connected to negotiated. A QEMU still building its machine answers late.
    Duration greeting{5000};
    /// query-*, qom-*: 1-2 ms on an idle QEMU; they queue behind a device_add of any monitor.
    Duration query{10000};
    /// Pins guest memory and maps BARs: tens of ms for a vGPU, seconds for a large guest.
    Duration device_add{60000};
    /// Only the request's acceptance, not the guest's consent.
    Duration device_del{10000};
    /// From the first device_del until the device is proven gone. Native pciehp alone takes 6.2 s.
    Duration unplug{20000};
    /// A request lost in early boot must be sent again; a guest at work needs 8-80 ms.
    Duration unplug_resend{1500};
    /// The oldest command's wait for its answer before QEMU is called unresponsive. Ends nothing. A
    /// settled QEMU takes ms, a device_add that pins a large guest seconds.
    Duration unresponsive{15000};
    /// From a lost connection until reconnecting is given up. QEMU itself listens again at once;
    /// the rest is for another client that has taken the monitor meanwhile.
    Duration reconnect{10000};

    Timeouts() {}
    Duration of(CommandClass cls) const noexcept;
};

} // namespace kata_vfio::qemu
