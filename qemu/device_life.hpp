// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "qemu/machine.hpp"
#include "qemu/qmp/error.hpp"
#include "qemu/qmp/message.hpp"

#include <array>
#include <cstddef>
#include <iosfwd>
#include <optional>
#include <string_view>

namespace kata_vfio::qemu {

/// What one QEMU has of one device id, as far as it has told us.
enum class LifeState {
    absent,         ///< provably not there: never plugged, refused, or asked for and not found
    plugging,       ///< device_add is written and not answered
    present,        ///< there, and nobody has asked for it
    unplug_pending, ///< a removal is asked for: the guest has to let go
    removing,       ///< QEMU says it is gone; /machine/peripheral has not confirmed it yet
    lost,           ///< the connection is, or QEMU does not answer: only asking again tells
};

/// What can happen to it. An event of QEMU's that is not about this id is none (life_event()).
enum class LifeEvent {
    plug_begun,      ///< the command device_add goes out
    unplug_begun,    ///< somebody wants it out; device_del goes out when the guest's state is known
    reply_ok,        ///< {} to device_add or device_del: for the latter only that it is asked for
    reply_not_found, ///< class DeviceNotFound
    reply_pending,   ///< "already in the process of unplug"
    reply_busy,      ///< "guest is busy": asked too early after the plug (PCIe, SHPC)
    reply_no_room,   ///< the slot is somebody's, or the bus is full
    reply_refused,   ///< any other error
    unanswered,      ///< the command's own deadline has passed
    silent,          ///< .. and so has that of all of it
    deleted,         ///< DEVICE_DELETED of this id, or of no id and exactly its path
    child_deleted,   ///< DEVICE_DELETED of no id and a path below: a nested device's
    guest_refused,   ///< DEVICE_UNPLUG_GUEST_ERROR or MEM_UNPLUG_ERROR of this id
    reset,           ///< RESET
    disconnected,    ///< end of the connection
    crashed,         ///< end of the connection with RESET as the last event
    found_present,   ///< asked, /machine/peripheral has it
    found_absent,    ///< asked, it has not
    resend_due,      ///< so much time has passed that device_del may have been lost
    deadline,        ///< the time for all of it is up
    guest_running,   ///< query-status or RESUME
    guest_stopped,   ///< query-status or STOP
    prelaunch,       ///< query-status: never started
};

/// What is to be done about it.
enum class LifeStep {
    none,          ///< nothing, whatever was waited for is still
    send_add,      ///< device_add
    choose_slot,   ///< QEMU does not have it: look at the bus again, another slot
    take_back,     ///< QEMU may have it and nobody knows: unplug it
    ask_status,    ///< query-status: may the guest be asked at all
    send_del,      ///< device_del, again unless it is the first
    wait,          ///< for the guest; for the first device_del the wait is over at once
    verify,        ///< qom-list /machine/peripheral: QEMU's word against its own book
    done,          ///< what was wanted is so
    refuse,        ///< QEMU's error ends it
    refuse_early,  ///< the guest has never run: a device_del now would wedge the device
    guest_refused, ///< the guest's word ends it
    contradiction, ///< said to be gone, and still there
    unanswered,    ///< QEMU has not said a thing until the end
    gone,          ///< QEMU is gone, and its devices with it
    crash,         ///< .. of a bug of its own
    tell,          ///< it has come or gone and nobody asked for that: whoever keeps book must know
};

inline constexpr std::size_t life_states = 6, life_events = 23, life_steps = 17;

std::string_view text(LifeState) noexcept;
std::string_view text(LifeEvent) noexcept;
std::string_view text(LifeStep) noexcept;
std::ostream& operator<<(std::ostream&, LifeState);
std::ostream& operator<<(std::ostream&, LifeEvent);
std::ostream& operator<<(std::ostream&, LifeStep);

struct LifeCell {
    LifeState next;
    LifeStep step;
    bool operator==(const LifeCell&) const = default;
};

/// The table: each state with each event. Pure and total. It knows no system_reset: on QEMU 10.0
/// device_del + system_reset aborts QEMU (hw/core/resetcontainer.c).
const LifeCell& life_cell(LifeState, LifeEvent) noexcept;

/// A state that follows the table. A `disconnected` that comes right after a `reset` is a `crashed`
/// whoever tells it so or not.
class DeviceLife {
  public:
    explicit DeviceLife(LifeState state) : state_(state) {}

    LifeStep on(LifeEvent event) noexcept;
    LifeState state() const noexcept { return state_; }

  private:
    LifeState state_;
    bool reset_ = false; ///< RESET is the last event QEMU sent
};

/// An event of QEMU's as one of this device; nullopt: it says nothing about it. RESET, STOP and
/// RESUME are about every device.
std::optional<LifeEvent> life_event(const Event& event, std::string_view id);
/// An error reply to device_add or device_del.
LifeEvent life_event(const QmpFailure& refused) noexcept;
/// query-status.
LifeEvent life_event(const RunState& state) noexcept;

/// The command a step puts to QEMU about `id`, nullopt where it puts none or (send_add) one with
/// more to it. All commands of an unplug are made here.
std::optional<Command> command_of(LifeStep step, const std::string& id);

} // namespace kata_vfio::qemu
