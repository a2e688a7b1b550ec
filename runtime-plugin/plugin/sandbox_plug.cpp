// SPDX-License-Identifier: Apache-2.0
// QEMU's part of an attach: device_add of each function, those of one host slot into one slot.
#include "qemu/hotplug.hpp"
#include "qemu/pci_slots.hpp"
#include "runtime-plugin/plugin/crash_point.hpp"
#include "runtime-plugin/plugin/note.hpp"
#include "runtime-plugin/plugin/sandbox.hpp"

#include <algorithm>
#include <utility>

namespace kata_vfio::plugin {
namespace asio = boost::asio;

asio::awaitable<void> Sandbox::plug(Journal& journal, std::vector<Target>& targets,
                                    const Caller& caller, const std::function<void()>& all_sent) {
    const bool cdevs = takes_cdevs(targets);
    std::optional<unsigned> slot; // of the set whose functions are being plugged
    bool together = true;
    for (auto& target : targets) {
        auto& attachment = target.attachment;
        if (!connected()) // lost while the host was at work, and nothing is on its way
            co_await require_connection();
        const bool begins_slot = !slot;
        if (target.shares_slot && together && begins_slot) {
            if (!bus_) {
                const auto session = monitor_->session();
                bus_ = co_await qemu::root_bus(*session);
            }
            slot = bus_->next_free();
        }
        std::optional<qemu::Plugged> plugged;
        while (!plugged) {
            if (caller.gave_up())
                throw Failure(Errc::cancelled,
                              "the attach was cancelled before " + attachment.id + " was plugged");
            qemu::VfioDevice device(attachment.id, attachment.sysfsdev);
            if (slot) {
                device.addr = qemu::slot_text(*slot, target.guest_function);
                device.multifunction = true;
            }
            const Step step = PlugStep{attachment.id};
            progress(caller.ticket, text(step));
            journal.intend(step);
            crash_point(CrashPoint::attach_plug_intended);
            auto known = std::exchange(bus_, std::nullopt); // until it is seen to be right
            std::function<void(const qemu::Plugged&)> sent = [&](const qemu::Plugged& place) {
                attachment.guest_address = place.guest_address;
                if (&target == &targets.back())
                    all_sent();
            };
            std::optional<qemu::HotplugFailure> refused;
            std::optional<qemu::HotplugFailure> denied;
            try {
                plugged = co_await plug_one(journal, device, cdevs, known, sent);
            } catch (const qemu::HotplugFailure& failure) {
                if (failure.code() == Errc::permission_denied && unrestricted_)
                    denied = failure;
                // Not every QEMU takes functions one by one: nothing of the set is in yet.
                else if (!slot || !begins_slot || failure.left() != qemu::DeviceState::absent)
                    throw;
                else
                    refused = failure;
            }
            if (denied) {
                co_await explain_denial(target); // somebody has made rules since
                throw qemu::HotplugFailure(*denied);
            }
            if (refused) {
                context_.log(LogLevel::warning, "sandbox " + id_ +
                                                    ": the functions of one host slot go to slots "
                                                    "of their own: " +
                                                    refused->what());
                together = false;
                slot.reset();
                continue;
            }
            crash_point(CrashPoint::attach_plugged);
            journal.done();
            monitor_->plugged(plugged->id);
            // Another slot than the one we knew as free: somebody else was at the bus.
            if (!bus_ && known && (slot || plugged->slot == known->next_free())) {
                known->put(plugged->id, plugged->slot, plugged->function);
                bus_ = std::move(known);
            }
        }
        if (target.guest_function == 0) { // the last of its set
            slot.reset();
            together = true;
        }
    }
}

asio::awaitable<qemu::Plugged> Sandbox::plug_one(Journal& journal, qemu::VfioDevice device,
                                                 bool cdev, std::optional<qemu::RootBus> known,
                                                 std::function<void(const qemu::Plugged&)> sent) {
    const auto monitor = monitor_; // a close() meanwhile must not take it away
    const auto id = device.id;
    std::optional<qemu::HotplugFailure> failed;
    for (const bool again : {false, true}) {
        const auto session = monitor->session();
        try {
            auto plugged = co_await plug_device(session, device, cdev, std::move(known), sent);
            co_return plugged;
        } catch (const qemu::HotplugFailure& failure) {
            failed = failure;
        }
        const bool lost = !session->running();
        const bool absent = failed->left() == qemu::DeviceState::absent;
        if (!lost || (again && absent) ||
            (!absent && failed->left() != qemu::DeviceState::unknown)) {
            if (absent)
                journal.withdraw();
            throw *failed;
        }
        // The connection was lost over it.
        try {
            co_await monitor->ready();
        } catch (const Failure& why) {
            append_note(*failed, std::string("connecting again failed: ") + why.what());
        }
        if (!monitor->connected()) {
            if (absent)
                journal.withdraw();
            throw *failed;
        }
        if (!absent)
            break;
        known = std::nullopt; // nothing of it had been sent: it is sent now
    }
    // QEMU answers the questions of a reconnect behind whatever it was at, so what they say it has
    // is what became of the device.
    const auto& bus = monitor->last_known().bus;
    const auto* found = bus ? bus->find(id) : nullptr;
    if (!found && !monitor->last_known().devices.contains(id)) {
        journal.withdraw();
        append_note(*failed, "connected again: QEMU does not have it");
        throw qemu::HotplugFailure(*failed, qemu::DeviceState::absent);
    }
    if (!found) { // in QEMU, but not on the root bus: nothing we have plugged, and undoing decides
        append_note(*failed, "connected again: QEMU has it elsewhere than on the root bus");
        throw *failed;
    }
    context_.log(LogLevel::info, "sandbox " + id_ + ": connected again: QEMU has " + id);
    const qemu::Plugged place{id, found->slot, found->function, found->guest_address()};
    sent(place);
    co_return place;
}

} // namespace kata_vfio::plugin
