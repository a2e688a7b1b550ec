// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/json/value.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// Whether a device's memory BARs find a place below the root bus. A guest that can't place one
/// ("BAR 1: no space for [mem size ...]") leaves the device dead in its slot, and QEMU does not
/// say.
namespace kata_vfio::qemu {

/// Guest physical addresses, `end` behind the last.
struct AddressRange {
    std::uint64_t begin = 0, end = 0;

    std::uint64_t size() const noexcept { return end > begin ? end - begin : 0; }
    bool operator==(const AddressRange&) const = default;
};

/// Where the root bus of a pc machine places memory BARs, and what is taken of it.
struct RootWindow {
    std::optional<AddressRange> low;  ///< below 4 GB: from the end of low memory to the IO-APIC
    std::optional<AddressRange> high; ///< above 4 GB, for 64-bit BARs alone
    std::vector<AddressRange> taken;  ///< by other devices' BARs and bridges' windows

    /// The firmware has given out addresses: before that nothing can be said.
    bool settled() const noexcept { return low && !taken.empty(); }
};

/// What is taken, from query-pci (qapi/pci.json: PciMemoryRegion, PciBridgeInfo). A region without
/// an address yet (-1) is left out; what is malformed too.
std::vector<AddressRange> parse_taken(const boost::json::value& query_pci);

/// i440FX-pcihost's pci-hole-start and -end, or pci-hole64-start and -end (hw/pci-host/i440fx.c:
/// the end is the first address behind it); nullopt unless both are numbers and the range is not
/// empty.
std::optional<AddressRange> parse_hole(const boost::json::value& start,
                                       const boost::json::value& end);

struct WantedBar {
    int index = 0;
    std::uint64_t size = 0; ///< a power of two; it is placed at a multiple of it
    bool is_64bit = false;
    bool operator==(const WantedBar&) const noexcept = default;
};

/// The first BAR, largest first, that finds no gap, and the largest one there is for it.
struct Misfit {
    WantedBar bar;
    std::uint64_t largest_gap = 0; ///< of addresses that the BAR may have, aligned for it
    bool operator==(const Misfit&) const = default;
};

/// nullopt: they all fit, or nothing can be said (see settled()). 64-bit BARs go high where there
/// is room, as the guest's kernel does, and low otherwise.
std::optional<Misfit> find_misfit(const RootWindow& window, std::vector<WantedBar> bars);

} // namespace kata_vfio::qemu
