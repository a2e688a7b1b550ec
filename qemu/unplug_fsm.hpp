// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"
#include "qemu/device_life.hpp"

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
struct Lost { ///< the connection has ended
    Failure why;
};
} // namespace unplug_event

using UnplugEvent =
    std::variant<unplug_event::Begin, unplug_event::Status, unplug_event::Accepted,
                 unplug_event::Refused, unplug_event::Unanswered, unplug_event::Seen,
                 unplug_event::TimeIsUp, unplug_event::Verified, unplug_event::Lost>;

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

/// An unplug: the decisions of qemu/device_life.hpp with a clock and words for people, without
/// timers or sockets. Nothing but device_del ever goes to the guest: see life_cell().
class UnplugFsm {
  public:
    using Clock = std::chrono::steady_clock;

    /// `known` is what was known of the device before: plugging when it is to be taken back.
    UnplugFsm(std::string id, std::chrono::milliseconds deadline, std::chrono::milliseconds resend,
              LifeState known = LifeState::present);

    UnplugAction resume(const UnplugEvent& event, Clock::time_point now);

    /// Whether an event concerns this unplug: not those of other devices, nor of children.
    bool wants(const Event& event) const;

    /// What it waits for, for progress: "the guest is paused: ...", "" when nothing special.
    std::string note() const;
    LifeState state() const noexcept { return life_.state(); }
    /// How often device_del was written.
    unsigned sent() const noexcept { return sent_; }

  private:
    UnplugAction act(LifeStep step, Clock::time_point now);
    UnplugAction send(Clock::time_point now);
    UnplugAction wait(Clock::time_point now);
    UnplugAction fail(Failure why) const { return {UnplugAction::fail, {}, std::move(why)}; }
    Failure timed_out() const;

    std::string id_;
    std::chrono::milliseconds limit_, resend_;
    Clock::time_point deadline_{}, next_send_{};
    DeviceLife life_;
    RunState guest_;
    std::optional<Failure> said_; ///< the last refusal, or what the connection was lost with
    unsigned sent_ = 0;
    bool unanswered_ = false; ///< the last command got no answer
};

} // namespace kata_vfio::qemu
