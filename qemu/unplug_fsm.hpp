// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"
#include "qemu/machine.hpp"
#include "qemu/qmp/error.hpp"
#include "qemu/qmp/message.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <variant>

namespace kata_vfio::qemu {

/// What happened to the unplug of one device.
namespace unplug_event {
struct Begin {};
struct Status {
    RunState state;
};
struct Accepted {}; ///< device_del returned {}
struct Refused {    ///< device_del returned an error
    QmpFailure why;
};
struct Unanswered {}; ///< device_del or the verifying query got no answer in time
struct Seen {         ///< any event of UnplugFsm::wants()
    Event event;
};
struct TimeIsUp {}; ///< UnplugAction::until has passed
struct Verified {   ///< the answer to verify: is the id still in /machine/peripheral
    bool present;
};
} // namespace unplug_event

using UnplugEvent =
    std::variant<unplug_event::Begin, unplug_event::Status, unplug_event::Accepted,
                 unplug_event::Refused, unplug_event::Unanswered, unplug_event::Seen,
                 unplug_event::TimeIsUp, unplug_event::Verified>;

struct UnplugAction {
    enum Kind {
        query_status,
        send_device_del,
        wait,   ///< for a Seen, at most until `until`
        verify, ///< ask QEMU whether the device is still there
        done,   ///< proven gone
        fail,   ///< `why` says so; the device stays, nothing was forced
    };
    Kind kind;
    std::chrono::steady_clock::time_point until{};
    std::optional<Failure> why{};
};

/// The decisions of an unplug, without timers or sockets. DEVICE_DELETED, "already in the process",
/// DeviceNotFound, a request lost in early boot and a stopped guest each have a test of their own.
///
/// system_reset is never used to force it: on QEMU 10.0 that aborts QEMU
/// (hw/core/resetcontainer.c, device_del + system_reset).
class UnplugFsm {
  public:
    using Clock = std::chrono::steady_clock;

    UnplugFsm(std::string id, std::chrono::milliseconds deadline, std::chrono::milliseconds resend);

    UnplugAction resume(const UnplugEvent& event, Clock::time_point now);

    /// Whether an event concerns this unplug: DEVICE_DELETED of this id (path-only ones are the
    /// device's children), DEVICE_UNPLUG_GUEST_ERROR of this id, STOP, RESUME.
    bool wants(const Event& event) const;

    /// What it waits for, for progress: "the guest is paused: ...", "" when nothing special.
    std::string note() const;
    /// The last thing asked of QEMU got no answer: the device's state is not known.
    bool unanswered() const noexcept { return unanswered_; }
    /// How often device_del was written.
    unsigned sent() const noexcept { return sent_; }

  private:
    UnplugAction send(Clock::time_point now);
    UnplugAction wait(Clock::time_point now);
    UnplugAction refused(const QmpFailure& why, Clock::time_point now);
    UnplugAction seen(const Event& event, Clock::time_point now);
    UnplugAction verified(bool present);
    Failure timed_out() const;

    std::string id_;
    std::chrono::milliseconds limit_, resend_;
    Clock::time_point deadline_{}, next_send_{};
    RunState state_;
    unsigned sent_ = 0;
    bool deleted_ = false;    ///< DEVICE_DELETED came
    bool not_found_ = false;  ///< QEMU says it has no such device
    bool unanswered_ = false; ///< the last command got no answer
};

} // namespace kata_vfio::qemu
