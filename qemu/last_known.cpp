// SPDX-License-Identifier: Apache-2.0
#include "qemu/last_known.hpp"

#include "qemu/inventory.hpp"

#include <boost/json/object.hpp>

#include <utility>

namespace kata_vfio::qemu {
namespace asio = boost::asio;
namespace json = boost::json;
namespace {

constexpr auto peripheral = "/machine/peripheral";

Event synthesise(std::string name, json::object data = {}) {
    Event event;
    event.name = std::move(name);
    event.data = std::move(data);
    event.synthesised = true;
    return event;
}

/// The event with which a machine enters the state (qapi/run-state.json); STOP goes with each of
/// them that ends running.
std::optional<Event> entering(const RunState& state) {
    // Members the schema demands. That the guest or somebody else asked for it is not known.
    if (state.status == "shutdown")
        return synthesise("SHUTDOWN", {{"guest", false}, {"reason", "none"}});
    if (state.status == "guest-panicked")
        return synthesise("GUEST_PANICKED", {{"action", "pause"}});
    if (state.status == "suspended")
        return synthesise("SUSPEND");
    return std::nullopt;
}

} // namespace

void LastKnown::apply(const Event& event) {
    if (event.name == "STOP") {
        if (state.running) // behind SHUTDOWN and GUEST_PANICKED it says nothing new
            state = {"paused", false};
    } else if (event.name == "RESUME" || event.name == "WAKEUP") {
        state = {"running", true};
    } else if (event.name == "SHUTDOWN") {
        state = {"shutdown", false};
    } else if (event.name == "GUEST_PANICKED") {
        state = {"guest-panicked", false};
    } else if (event.name == "SUSPEND") {
        state = {"suspended", false};
    } else if (event.name == "DEVICE_DELETED") {
        const auto id = event.text("device"); // children are announced with a path and no id
        if (id.empty())
            return;
        devices.erase(std::string(id));
        if (bus)
            bus->take(id);
    }
}

std::vector<Event> missed_events(const LastKnown& before, const LastKnown& after) {
    std::vector<Event> missed;
    for (const auto& id : before.devices)
        if (!after.devices.contains(id))
            missed.push_back(synthesise(
                "DEVICE_DELETED", {{"device", id}, {"path", std::string(peripheral) + "/" + id}}));
    if (before.state.status == after.state.status)
        return missed;
    if (auto event = entering(after.state))
        missed.push_back(std::move(*event));
    // A guest that sleeps has not been stopped, and wakes without being continued (runstate.c).
    if (before.state.running && !after.state.running && after.state.status != "suspended")
        missed.push_back(synthesise("STOP"));
    else if (!before.state.running && after.state.running)
        missed.push_back(synthesise(before.state.status == "suspended" ? "WAKEUP" : "RESUME"));
    return missed;
}

asio::awaitable<LastKnown> ask_what_is_there(Session& session, bool with_bus) {
    auto status = session.submit(query_status());
    auto devices = session.submit(qom_list(peripheral));
    std::optional<Submitted> pci;
    if (with_bus)
        pci.emplace(session.submit(query_pci()));
    LastKnown found;
    const auto state = co_await session.finish(std::move(status));
    found.state = parse_run_state(state);
    const auto list = co_await session.finish(std::move(devices));
    for (auto& device : parse_peripherals(list))
        found.devices.insert(std::move(device.id));
    if (pci) {
        const auto bus = co_await session.finish(std::move(*pci));
        found.bus = RootBus::parse(bus);
    }
    co_return found;
}

} // namespace kata_vfio::qemu
