// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "qemu/device_life.hpp"
#include "qemu/pci_slots.hpp"
#include "qemu/qmp/session.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/json/value.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::qemu {

/// An entry of /machine/peripheral: a device that was added with an id.
struct Peripheral {
    std::string id;
    std::string type; ///< QOM type, "vfio-pci"
};

/// From qom-list /machine/peripheral; its entries that are no device ("type") are left out. Throws
/// Failure(qmp_protocol) when it is no list.
std::vector<Peripheral> parse_peripherals(const boost::json::value& qom_list);

struct InventoryDevice {
    std::string id;
    std::string type;          ///< "" when only the bus still knows it
    std::string guest_address; ///< "0000:00:05.0"; "" for what is no PCI function (a DIMM, a vCPU)
    LifeState state;           ///< present, or removing: on the bus and not in QEMU's book any more
};

/// All devices of one QEMU that have an id. Nothing that a sandbox remembers of its bus is needed
/// to make it: it comes of query-pci and qom-list /machine/peripheral, asked in this order. Asked
/// so, a device that goes between the two is `removing`, and one that comes has no address yet.
class Inventory {
  public:
    /// Throws Failure(qmp_protocol): no PCI bus 0, no list of peripherals.
    static Inventory parse(const boost::json::value& query_pci,
                           const boost::json::value& peripherals);

    /// In the order of QEMU's book, what is removing last.
    const std::vector<InventoryDevice>& devices() const& noexcept { return devices_; }
    const std::vector<InventoryDevice>& devices() const&& = delete; // would dangle
    /// nullptr when QEMU has no such device.
    const InventoryDevice* find(std::string_view id) const noexcept;
    /// absent, present or removing.
    LifeState state(std::string_view id) const noexcept;
    const RootBus& root_bus() const& noexcept { return bus_; }
    const RootBus& root_bus() const&& = delete; // would dangle

  private:
    explicit Inventory(RootBus bus) : bus_(std::move(bus)) {}

    RootBus bus_;
    std::vector<InventoryDevice> devices_;
};

/// Asks for both in one round trip. Throws what Session::execute() throws, and what parse() does.
boost::asio::awaitable<Inventory> inventory(Session& session, OnCancel mode = OnCancel::abandon);

} // namespace kata_vfio::qemu
