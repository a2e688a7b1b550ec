// SPDX-License-Identifier: Apache-2.0
#include "qemu/inventory.hpp"

#include "qemu/text_member.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <algorithm>
#include <cstdio>

namespace kata_vfio::qemu {
namespace asio = boost::asio;
namespace json = boost::json;
namespace {

/// nullopt for what is no number of 0 to `most`.
std::optional<unsigned> number_to(const json::object& object, std::string_view key, unsigned most) {
    const auto* value = object.if_contains(key);
    const auto* read = value ? value->if_int64() : nullptr;
    if (!read || *read < 0 || *read > most)
        return std::nullopt;
    return static_cast<unsigned>(*read);
}

std::string address_of(const json::object& function) {
    const auto bus = number_to(function, "bus", 255);
    const auto slot = number_to(function, "slot", 31);
    const auto index = number_to(function, "function", 7);
    if (!bus || !slot || !index)
        return {};
    char buffer[16];
    std::snprintf(buffer, sizeof buffer, "0000:%02x:%02x.%u", *bus, *slot, *index);
    return buffer;
}

struct Function {
    std::string id, address;
};

/// Every function with an id, those behind bridges too (PciDeviceInfo.pci_bridge.devices). Kept
/// from recursion: how deep it is nested is somebody else's choice.
std::vector<Function> functions_of(const json::value& query_pci) {
    std::vector<Function> out;
    std::vector<const json::object*> todo; ///< whatever has "devices"
    if (const auto* buses = query_pci.if_array())
        for (const auto& bus : *buses)
            if (const auto* object = bus.if_object())
                todo.push_back(object);
    while (!todo.empty()) {
        const auto* devices = todo.back()->if_contains("devices");
        todo.pop_back();
        const auto* list = devices ? devices->if_array() : nullptr;
        if (!list)
            continue;
        for (const auto& entry : *list) {
            const auto* function = entry.if_object();
            if (!function)
                continue;
            if (auto id = text_member(*function, "qdev_id"); !id.empty())
                out.push_back({std::move(id), address_of(*function)});
            const auto* bridge = function->if_contains("pci_bridge");
            if (bridge && bridge->is_object())
                todo.push_back(&bridge->get_object());
        }
    }
    return out;
}

} // namespace

std::vector<Peripheral> parse_peripherals(const json::value& qom_list) {
    const auto* list = qom_list.if_array();
    if (!list)
        throw Failure(Errc::qmp_protocol,
                      "the devices of /machine/peripheral came back as no list");
    constexpr std::string_view child = "child<";
    std::vector<Peripheral> out;
    for (const auto& item : *list) {
        const auto* object = item.if_object();
        if (!object)
            continue;
        auto type = text_member(*object, "type");
        if (!type.starts_with(child) || !type.ends_with('>'))
            continue;
        type = type.substr(child.size(), type.size() - child.size() - 1);
        if (auto name = text_member(*object, "name"); !name.empty())
            out.push_back({std::move(name), std::move(type)});
    }
    return out;
}

Inventory Inventory::parse(const json::value& query_pci, const json::value& peripherals) {
    Inventory out(RootBus::parse(query_pci));
    auto functions = functions_of(query_pci);
    for (auto& peripheral : parse_peripherals(peripherals)) {
        const auto at =
            std::find_if(functions.begin(), functions.end(),
                         [&](const Function& function) { return function.id == peripheral.id; });
        InventoryDevice device{
            std::move(peripheral.id), std::move(peripheral.type), {}, LifeState::present};
        if (at != functions.end()) {
            device.guest_address = std::move(at->address);
            functions.erase(at);
        }
        out.devices_.push_back(std::move(device));
    }
    for (auto& function : functions)
        if (!out.find(function.id))
            out.devices_.push_back(
                {std::move(function.id), {}, std::move(function.address), LifeState::removing});
    return out;
}

const InventoryDevice* Inventory::find(std::string_view id) const noexcept {
    for (const auto& device : devices_)
        if (device.id == id)
            return &device;
    return nullptr;
}

LifeState Inventory::state(std::string_view id) const noexcept {
    const auto* device = find(id);
    return device ? device->state : LifeState::absent;
}

asio::awaitable<Inventory> inventory(Session& session, OnCancel mode) {
    auto asking_bus = session.submit(query_pci());
    auto asking_book = session.submit(*command_of(LifeStep::verify, {}));
    const auto bus = co_await session.finish(std::move(asking_bus), mode);
    const auto book = co_await session.finish(std::move(asking_book), mode);
    co_return Inventory::parse(bus, book);
}

} // namespace kata_vfio::qemu
