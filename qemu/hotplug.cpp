// SPDX-License-Identifier: Apache-2.0
#include "qemu/hotplug.hpp"

#include "qemu/machine.hpp"
#include "qemu/unplug_fsm.hpp"

#include <boost/asio/this_coro.hpp>

#include <ostream>

namespace kata_vfio::qemu {
namespace asio = boost::asio;
namespace json = boost::json;
namespace {

using Clock = UnplugFsm::Clock;

/// Refuses what QEMU would refuse with less to say: a full bus, a taken slot.
void require_room(const RootBus& bus, const VfioDevice& device) {
    const auto addr = device.addr ? parse_addr(*device.addr) : std::nullopt;
    const auto* occupant = addr ? bus.occupant(addr->slot) : nullptr;
    // Functions of one slot come one by one, function 0 last (see plan_slots() in the plugin).
    const bool joins = addr && device.multifunction.value_or(false) && occupant &&
                       occupant->function > 0 && !bus.at(addr->slot, addr->function);
    if (!joins && !bus.next_free())
        throw bus.full(1);
    if (!occupant || joins)
        return;
    Failure failure(Errc::invalid_argument, "addr " + *device.addr + " of the root bus is taken");
    failure.blocked_by(occupant->label()).remedy("leave addr out or choose a free slot");
    throw failure;
}

DeviceState left_as(LifeState state) {
    switch (state) {
    case LifeState::absent:
        return DeviceState::absent;
    case LifeState::present:
    case LifeState::unplug_pending:
        return DeviceState::present;
    case LifeState::plugging:
    case LifeState::removing:
    case LifeState::lost:
        break;
    }
    return DeviceState::unknown;
}

/// One action of the machine that needs QEMU, as the event it comes back with.
asio::awaitable<UnplugEvent> ask(Session& session, UnplugAction::Kind kind, const std::string& id,
                                 OnCancel mode) {
    try {
        if (kind == UnplugAction::query_status) {
            auto state = co_await run_state(session, mode);
            co_return unplug_event::Status{std::move(state)};
        }
        if (kind == UnplugAction::verify) {
            const bool present = co_await device_present(session, id, mode);
            co_return unplug_event::Verified{present};
        }
        auto command = *command_of(LifeStep::send_del, id);
        co_await session.execute(std::move(command), mode);
        co_return unplug_event::Accepted{};
    } catch (const QmpFailure& refused) {
        if (kind != UnplugAction::send_device_del)
            throw;
        co_return unplug_event::Refused{refused};
    } catch (const Failure& failure) {
        if (failure.code() == Errc::qemu_gone)
            co_return unplug_event::Lost{failure};
        if (failure.code() != Errc::qmp_timeout || kind == UnplugAction::query_status)
            throw;
    }
    co_return unplug_event::Unanswered{};
}

asio::awaitable<UnplugEvent> next_event(EventWaiter& waiter, Clock::time_point until,
                                        OnCancel mode) {
    try {
        auto seen = co_await waiter.wait_until(until, mode);
        if (seen)
            co_return unplug_event::Seen{std::move(*seen)};
    } catch (const Failure& failure) {
        if (failure.code() != Errc::qemu_gone)
            throw;
        co_return unplug_event::Lost{failure};
    }
    co_return unplug_event::TimeIsUp{};
}

/// `known`: what is known of the device so far.
asio::awaitable<void> run_unplug(Session& session, std::string id, UnplugProgress progress,
                                 OnCancel mode, LifeState known) {
    UnplugFsm fsm(id, session.timeouts().unplug, session.timeouts().unplug_resend, known);
    // Armed before device_del is written: the event may precede the reply.
    auto waiter = session.arm([&fsm](const Event& event) { return fsm.wants(event); });
    std::string told;
    UnplugEvent event = unplug_event::Begin{};
    for (;;) {
        auto action = fsm.resume(event, Clock::now());
        if (const auto note = fsm.note(); progress && note != told) {
            told = note;
            if (!note.empty())
                progress(note);
        }
        switch (action.kind) {
        case UnplugAction::done:
            co_return;
        case UnplugAction::fail:
            throw HotplugFailure(*action.why, left_as(fsm.state()));
        case UnplugAction::wait:
            event = co_await next_event(waiter, action.until, mode);
            break;
        default:
            event = co_await ask(session, action.kind, id, mode);
            // What came before an error, or before the end, weighs more than the error.
            while (std::holds_alternative<unplug_event::Refused>(event) ||
                   std::holds_alternative<unplug_event::Lost>(event)) {
                const auto earlier = co_await next_event(waiter, Clock::now(), mode);
                if (!std::holds_alternative<unplug_event::Seen>(earlier))
                    break;
                (void)fsm.resume(earlier, Clock::now());
            }
        }
    }
}

/// What became of a device whose plug failed half-way: takes it out if it is in.
asio::awaitable<DeviceState> roll_back(Session& session, const std::string& id, LifeState known) {
    try {
        co_await run_unplug(session, id, nullptr, OnCancel::finish, known);
        co_return DeviceState::absent;
    } catch (const HotplugFailure& failure) {
        co_return failure.left();
    } catch (const Failure&) {
        co_return DeviceState::unknown;
    }
}

std::string_view aftermath(DeviceState left) {
    switch (left) {
    case DeviceState::absent:
        return "it is not in the guest";
    case DeviceState::present:
        return "it is still in the guest and could not be taken back";
    case DeviceState::unknown:
        break;
    }
    return "whether QEMU has it could not be found out";
}

asio::awaitable<bool> cancel_requested() {
    const auto state = co_await asio::this_coro::cancellation_state;
    co_return state.cancelled() != asio::cancellation_type::none;
}

Plugged at(const std::string& id, unsigned slot, unsigned function) {
    return {id, slot, function, guest_address(slot, function)};
}

/// What device_add said.
struct Added {
    LifeStep step = LifeStep::done;
    std::optional<Failure> why; ///< when it is neither done nor choose_slot
};

/// Throws QmpFailure for a refusal that is final: QEMU does not have the device.
asio::awaitable<Added> add(Session& session, DeviceLife& life, const VfioDevice& device,
                           const Plugged& place, const std::function<void(const Plugged&)>& sent) {
    Added added;
    life.on(LifeEvent::plug_begun);
    auto adding = session.submit(device_add(encode_device_add(device)));
    if (sent)
        sent(place);
    try {
        co_await session.finish(std::move(adding), OnCancel::finish);
        added.step = life.on(LifeEvent::reply_ok);
    } catch (const QmpFailure& refused) {
        added.step = life.on(life_event(refused));
        if (added.step == LifeStep::refuse)
            throw;
    } catch (const Failure& failure) { // not answered, or not usably
        added.why = failure;
        added.step = life.on(session.running() ? LifeEvent::unanswered : LifeEvent::disconnected);
    }
    co_return added;
}

asio::awaitable<Plugged> run_plug(Session& session, VfioDevice device,
                                  std::optional<RootBus> before,
                                  std::function<void(const Plugged&)> sent) {
    const bool chosen = device.addr.has_value();
    if (chosen || !before)
        (void)encode_device_add(device); // what is malformed is refused without a question
    DeviceLife life(LifeState::absent);
    std::optional<Failure> why;
    std::optional<Plugged> plugged;
    auto step = LifeStep::choose_slot;
    // Each turn somebody else has taken a slot: at most as often as there are slots.
    for (unsigned turn = 0; turn <= RootBus::last_slot && step == LifeStep::choose_slot; ++turn) {
        if (!before)
            before = co_await root_bus(session, turn == 0 ? OnCancel::abandon : OnCancel::finish);
        require_room(*before, device);
        auto wanted = SlotFunction{before->next_free().value_or(0), 0};
        if (chosen)
            wanted = *parse_addr(*device.addr);
        else
            device.addr = slot_text(wanted.slot, wanted.function);
        const auto place = at(device.id, wanted.slot, wanted.function);
        auto added = co_await add(session, life, device, place, sent);
        step = added.step;
        why = std::move(added.why);
        if (step == LifeStep::done)
            plugged = place;
        if (!chosen)
            device.addr.reset();
        before.reset();
    }
    if (step == LifeStep::choose_slot)
        throw Failure(Errc::qemu_refused, "QEMU says of one slot after the other that it is taken, "
                                          "and query-pci that it is free");
    if (plugged && co_await cancel_requested())
        why = Failure(Errc::cancelled, "plugging " + device.id + " was cancelled");
    if (!why)
        co_return std::move(*plugged);

    if (!session.running())
        throw HotplugFailure(*why, DeviceState::unknown);
    const auto left = co_await roll_back(session, device.id, life.state());
    if (why->advice().empty())
        why->remedy(std::string(aftermath(left)));
    else
        why->remedy(why->advice() + "; " + std::string(aftermath(left)));
    throw HotplugFailure(*why, left);
}

} // namespace

std::ostream& operator<<(std::ostream& out, DeviceState state) {
    switch (state) {
    case DeviceState::absent:
        return out << "absent";
    case DeviceState::present:
        return out << "present";
    case DeviceState::unknown:
        return out << "unknown";
    }
    return out << "DeviceState(" << static_cast<int>(state) << ')';
}

asio::awaitable<RootBus> root_bus(Session& session, OnCancel mode) {
    auto command = query_pci();
    const auto value = co_await session.execute(std::move(command), mode);
    co_return RootBus::parse(value);
}

asio::awaitable<Plugged> plug(Session& session, VfioDevice device, std::optional<RootBus> before,
                              std::function<void(const Plugged&)> sent) {
    // Cancellation must show as Failure(cancelled) with the device's state known, never as Asio's
    // exception from whichever co_await comes next.
    const bool throwing = co_await asio::this_coro::throw_if_cancelled();
    co_await asio::this_coro::throw_if_cancelled(false);
    const auto action = "plug " + device.id;
    std::optional<Plugged> plugged;
    std::optional<HotplugFailure> failed;
    try {
        plugged = co_await run_plug(session, std::move(device), std::move(before), std::move(sent));
    } catch (const HotplugFailure& failure) {
        failed = failure;
    } catch (const Failure& failure) { // before device_add was sent, or QEMU refused it
        failed = HotplugFailure(failure, DeviceState::absent);
    }
    co_await asio::this_coro::throw_if_cancelled(throwing);
    if (!failed)
        co_return std::move(*plugged);
    failed->during(action);
    throw std::move(*failed);
}

asio::awaitable<void> unplug(Session& session, std::string id, UnplugProgress progress) {
    const bool throwing = co_await asio::this_coro::throw_if_cancelled();
    co_await asio::this_coro::throw_if_cancelled(false);
    const auto action = "unplug " + id;
    std::optional<HotplugFailure> failed;
    try {
        co_await run_unplug(session, std::move(id), std::move(progress), OnCancel::abandon,
                            LifeState::present);
    } catch (const HotplugFailure& failure) {
        failed = failure;
    } catch (const Failure& failure) {
        failed = HotplugFailure(failure, DeviceState::unknown);
        if (failure.code() == Errc::cancelled)
            failed->remedy(
                "a removal asked for stays with the guest: detach again to see it through");
    }
    co_await asio::this_coro::throw_if_cancelled(throwing);
    if (failed) {
        failed->during(action);
        throw std::move(*failed);
    }
}

} // namespace kata_vfio::qemu
