// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"

#include <boost/json/value.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::qemu {

/// One function on the root bus, from query-pci (qapi/pci.json, PciDeviceInfo).
struct RootBusDevice {
    std::string qdev_id; ///< "" for the machine's own
    unsigned slot = 0;   ///< 0-31
    unsigned function = 0;
    std::uint16_t vendor = 0, device = 0;
    std::uint16_t class_code = 0; ///< base class and subclass, 0x0300 = VGA
    std::string class_text;       ///< QEMU's word for the class, "" when it has none

    /// What the guest's lspci -D shows: "0000:00:05.0".
    std::string guest_address() const;
    /// "05.0 net0 (8086:100e)", for lists of who occupies the bus.
    std::string label() const;
};

/// The root bus (PCI bus 0) of a pc machine. Slot 0 is the host bridge and slot 1 the PIIX3, so
/// hot-plugged devices can have slots 2 to 31: 30 of them.
class RootBus {
  public:
    static constexpr unsigned first_slot = 2, last_slot = 31;

    /// From query-pci's return value. Members that are missing, of another type or out of range
    /// read as empty; throws Failure(qmp_protocol) only when there is no bus 0 in it at all.
    static RootBus parse(const boost::json::value& query_pci);

    const std::vector<RootBusDevice>& devices() const& noexcept { return devices_; }
    const std::vector<RootBusDevice>& devices() const&& = delete; // would dangle
    /// nullptr when there is none.
    const RootBusDevice* find(std::string_view qdev_id) const noexcept;
    /// Who has function 0 (or any) of the slot; nullptr when it is free.
    const RootBusDevice* occupant(unsigned slot) const noexcept;

    /// Who has that very function; nullptr when it is free.
    const RootBusDevice* at(unsigned slot, unsigned function) const noexcept;

    std::vector<unsigned> free_slots() const;
    /// The lowest free slot, as QEMU itself would choose.
    std::optional<unsigned> next_free() const;

    /// Failure(root_bus_full) that lists who occupies it, for somebody who needs `wanted` slots.
    Failure full(std::size_t wanted) const;

    /// Keeps this picture right over changes of our own.
    void put(std::string qdev_id, unsigned slot, unsigned function);
    void take(std::string_view qdev_id);

  private:
    std::vector<RootBusDevice> devices_;
};

/// "05.0": hexadecimal slot, function; also QEMU's form of addr.
std::string slot_text(unsigned slot, unsigned function);

/// "0000:00:SS.F" in the guest's domain 0, bus 0.
std::string guest_address(unsigned slot, unsigned function);

} // namespace kata_vfio::qemu
