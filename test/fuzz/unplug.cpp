// SPDX-License-Identifier: Apache-2.0
// The unplug's machine, asked as its adaptor asks it: no device_del before the guest was ever
// started, done only after QEMU was asked and had no such device, an end in bounded time.
//
// Line 1: deadline and re-send in ms. Then what comes of the action the machine wants, a line each:
// "STATUS" for query_status (running only if it is "running"); "ok", "no answer" or "CLASS:DESC"
// for device_del; an event's JSON or "N" (ms that pass) while waiting; "gone", "there" or "no
// answer" for verify. "eof" ends the connection wherever it is.
#include "qemu/unplug_fsm.hpp"
#include "test/fuzz/fuzz.hpp"
#include "vfio/sysfs_read.hpp"

#include <algorithm>

using namespace kata_vfio::qemu;
using namespace std::chrono_literals;

namespace kata_vfio::fuzz {
namespace {

std::chrono::milliseconds milliseconds(std::string_view text, std::uint64_t otherwise) {
    return std::chrono::milliseconds(
        std::clamp<std::uint64_t>(vfio::number(text).value_or(otherwise), 1, 600000));
}

class Adaptor {
  public:
    Adaptor(std::chrono::milliseconds limit, std::chrono::milliseconds resend)
        : limit_(limit), resend_(resend), fsm_("gpu0", limit, resend) {
        check(fsm_.resume(unplug_event::Begin{}, now_), false);
    }

    bool ended() const {
        return action_.kind == UnplugAction::done || action_.kind == UnplugAction::fail;
    }

    void answer(std::string_view line) {
        bool absent = false;
        UnplugEvent event = unplug_event::Unanswered{};
        if (line == "eof") {
            event = unplug_event::Lost{Failure(Errc::qemu_gone, "QEMU closed the connection")};
        } else if (action_.kind == UnplugAction::query_status) {
            RunState state{std::string(line), line == "running"};
            early_ = state.before_start();
            event = unplug_event::Status{std::move(state)};
        } else if (action_.kind == UnplugAction::wait) {
            event = waited(line);
        } else if (line == "no answer") {
            now_ += 10s; // Timeouts::query and device_del
        } else if (action_.kind == UnplugAction::verify) {
            absent = line == "gone";
            event = unplug_event::Verified{!absent};
        } else if (line == "ok") {
            event = unplug_event::Accepted{};
        } else {
            const auto colon = std::min(line.find(':'), line.size());
            event = unplug_event::Refused{
                QmpFailure("device_del", std::string(line.substr(0, colon)),
                           std::string(line.substr(std::min(colon + 1, line.size()))))};
        }
        check(fsm_.resume(event, now_), absent);
    }

  private:
    UnplugEvent waited(std::string_view line) {
        auto message = parse_message(line);
        auto* seen = std::get_if<Event>(&message);
        if (seen && fsm_.wants(*seen))
            return unplug_event::Seen{std::move(*seen)};
        now_ = std::max(now_, action_.until) + milliseconds(line, 1) - 1ms;
        return unplug_event::TimeIsUp{};
    }

    void check(UnplugAction action, bool absent) {
        require(action.kind != UnplugAction::send_device_del || !early_,
                "no device_del before the guest was started");
        require(action.kind != UnplugAction::done || absent, "done only when proven gone");
        require(action.kind != UnplugAction::done || fsm_.state() == LifeState::absent,
                "done is absent");
        require(fsm_.state() != LifeState::absent || action.kind == UnplugAction::done,
                "absent only when proven");
        require(action.why.has_value() == (action.kind == UnplugAction::fail), "failure says why");
        if (action.kind == UnplugAction::wait)
            require(action.until >= now_ && action.until <= std::max(now_, begun_ + limit_),
                    "no wait goes past the deadline");
        require(fsm_.sent() <= 1 + limit_ / resend_, "device_del is sent at most every re-send");
        if (now_ > begun_ + limit_ + 30s)
            require(action.kind != UnplugAction::send_device_del, "nothing is sent after the end");
        action_ = std::move(action);
        (void)fsm_.note();
    }

    const UnplugFsm::Clock::time_point begun_{1000s};
    UnplugFsm::Clock::time_point now_ = begun_;
    std::chrono::milliseconds limit_, resend_;
    UnplugFsm fsm_;
    UnplugAction action_{UnplugAction::query_status};
    bool early_ = true; ///< until a status says otherwise
};

} // namespace

void one(std::string_view bytes) {
    const auto times = take_line(bytes);
    const auto space = std::min(times.find(' '), times.size());
    Adaptor unplug(milliseconds(times.substr(0, space), 20000),
                   milliseconds(times.substr(std::min(space + 1, times.size())), 1500));
    while (!bytes.empty() && !unplug.ended())
        unplug.answer(take_line(bytes));
}

} // namespace kata_vfio::fuzz
