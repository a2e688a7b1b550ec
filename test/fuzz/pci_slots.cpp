// SPDX-License-Identifier: Apache-2.0
// The root bus from any JSON: refused as documented, or slots and functions in their range, and
// every slot either free or occupied.
#include "qemu/pci_slots.hpp"
#include "qemu/device_add.hpp"
#include "test/fuzz/fuzz.hpp"

#include <boost/json/parse.hpp>

using namespace kata_vfio::qemu;

namespace kata_vfio::fuzz {
namespace {

void check(const RootBus& bus) {
    for (const auto& device : bus.devices()) {
        require(device.slot <= 31 && device.function <= 7, "slots are 0-31, functions 0-7");
        const auto told = device.guest_address();
        require(told.starts_with("0000:00:"), "the root bus is bus 0 of domain 0");
        const auto read = parse_addr(std::string_view(told).substr(8));
        require(read && read->slot == device.slot && read->function == device.function,
                "a guest address reads back as it was");
        require(bus.find(device.qdev_id) && bus.occupant(device.slot),
                "a device is found by id and by slot");
        require(device.label().starts_with(told.substr(8)), "a label begins with the slot");
    }
    std::size_t occupied = 0;
    for (unsigned slot = RootBus::first_slot; slot <= RootBus::last_slot; ++slot)
        occupied += bus.occupant(slot) ? 1u : 0u;
    const auto free = bus.free_slots();
    require(free.size() + occupied == 30, "a slot is free or occupied");
    require(bus.next_free() == (free.empty() ? std::nullopt : std::optional(free.front())),
            "the next free slot is the first free one");
    require(bus.full(1).code() == Errc::root_bus_full, "a full bus says so");
}

} // namespace

void one(std::string_view bytes) {
    if (const auto addr = parse_addr(bytes))
        require(addr->slot <= 31 && addr->function <= 7, "an addr is within the bus");
    boost::json::error_code error;
    boost::json::parse_options options;
    options.max_depth = 1024;
    const auto value = boost::json::parse(bytes, error, {}, options);
    if (!error)
        refusal({Errc::qmp_protocol}, [&] { check(RootBus::parse(value)); });
}

} // namespace kata_vfio::fuzz
