// SPDX-License-Identifier: Apache-2.0
#include "qemu/pci_slots.hpp"

#include "config/base/text.hpp"
#include "qemu/text_member.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <algorithm>
#include <cstdio>

namespace kata_vfio::qemu {
namespace json = boost::json;
namespace {

/// 0 for what is no number of 0 to `most`: cut to size, a slot 2^32 + 5 would occupy slot 5.
template <class T>
T number(const json::object& object, std::string_view key, T most) {
    const auto* value = object.if_contains(key);
    const auto* read = value ? value->if_int64() : nullptr;
    return read && *read >= 0 && *read <= most ? static_cast<T>(*read) : T{};
}

const json::object* member(const json::object& object, std::string_view key) {
    const auto* value = object.if_contains(key);
    return value ? value->if_object() : nullptr;
}

std::string hex(std::uint64_t value, int digits) {
    char buffer[20];
    std::snprintf(buffer, sizeof buffer, "%0*llx", digits, static_cast<unsigned long long>(value));
    return buffer;
}

RootBusDevice parse_device(const json::object& entry) {
    RootBusDevice out;
    out.qdev_id = text_member(entry, "qdev_id");
    out.slot = number(entry, "slot", RootBus::last_slot);
    out.function = number(entry, "function", 7u);
    if (const auto* id = member(entry, "id")) {
        out.vendor = number<std::uint16_t>(*id, "vendor", UINT16_MAX);
        out.device = number<std::uint16_t>(*id, "device", UINT16_MAX);
    }
    if (const auto* info = member(entry, "class_info")) {
        out.class_code = number<std::uint16_t>(*info, "class", UINT16_MAX);
        out.class_text = text_member(*info, "desc");
    }
    return out;
}

} // namespace

std::string slot_text(unsigned slot, unsigned function) {
    return hex(slot, 2) + '.' + std::to_string(function);
}

std::string guest_address(unsigned slot, unsigned function) {
    return "0000:00:" + slot_text(slot, function);
}

std::string RootBusDevice::guest_address() const {
    return qemu::guest_address(slot, function);
}

std::string RootBusDevice::label() const {
    auto out = slot_text(slot, function);
    if (!qdev_id.empty())
        out += ' ' + qdev_id;
    else if (!class_text.empty())
        out += ' ' + class_text;
    return out + " (" + hex(vendor, 4) + ':' + hex(device, 4) + ')';
}

RootBus RootBus::parse(const json::value& query_pci) {
    const auto* buses = query_pci.if_array();
    if (buses)
        for (const auto& item : *buses) {
            const auto* bus = item.if_object();
            const auto* bus_number = bus ? bus->if_contains("bus") : nullptr;
            if (!bus_number || *bus_number != 0)
                continue;
            RootBus out;
            const auto* devices = bus->if_contains("devices");
            if (devices && devices->is_array())
                for (const auto& entry : devices->get_array())
                    if (const auto* object = entry.if_object())
                        out.devices_.push_back(parse_device(*object));
            return out;
        }
    throw Failure(Errc::qmp_protocol,
                  "query-pci shows no PCI bus 0: the machine has no PCI root bus");
}

const RootBusDevice* RootBus::find(std::string_view qdev_id) const noexcept {
    for (const auto& device : devices_)
        if (device.qdev_id == qdev_id)
            return &device;
    return nullptr;
}

const RootBusDevice* RootBus::occupant(unsigned slot) const noexcept {
    const RootBusDevice* found = nullptr;
    for (const auto& device : devices_)
        if (device.slot == slot && (!found || device.function < found->function))
            found = &device;
    return found;
}

const RootBusDevice* RootBus::at(unsigned slot, unsigned function) const noexcept {
    for (const auto& device : devices_)
        if (device.slot == slot && device.function == function)
            return &device;
    return nullptr;
}

std::vector<unsigned> RootBus::free_slots() const {
    std::vector<unsigned> out;
    for (unsigned slot = first_slot; slot <= last_slot; ++slot)
        if (!occupant(slot))
            out.push_back(slot);
    return out;
}

std::optional<unsigned> RootBus::next_free() const {
    for (unsigned slot = first_slot; slot <= last_slot; ++slot)
        if (!occupant(slot))
            return slot;
    return std::nullopt;
}

void RootBus::put(std::string qdev_id, unsigned slot, unsigned function) {
    RootBusDevice device;
    device.qdev_id = std::move(qdev_id);
    device.slot = slot;
    device.function = function;
    devices_.push_back(std::move(device));
}

void RootBus::take(std::string_view qdev_id) {
    std::erase_if(devices_, [&](const auto& device) { return device.qdev_id == qdev_id; });
}

Failure RootBus::full(std::size_t wanted) const {
    std::vector<std::string> labels;
    for (unsigned slot = first_slot; slot <= last_slot; ++slot)
        if (const auto* device = occupant(slot))
            labels.push_back(device->label());
    const auto free = free_slots().size();
    Failure failure(Errc::root_bus_full,
                    free == 0 ? "the root bus pci.0 has no free slot: all of 02 to 1f are taken"
                              : "the root bus pci.0 has " + std::to_string(free) +
                                    (free == 1 ? " free slot" : " free slots") + ", but " +
                                    std::to_string(wanted) + " are needed");
    failure.blocked_by(join_words(labels)).remedy("detach a device of this sandbox first");
    return failure;
}

} // namespace kata_vfio::qemu
