// SPDX-License-Identifier: Apache-2.0
#include "qemu/root_window.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <algorithm>
#include <limits>

namespace kata_vfio::qemu {
namespace json = boost::json;
namespace {

constexpr auto highest = std::numeric_limits<std::uint64_t>::max();

std::optional<std::uint64_t> number(const json::value* value) {
    if (!value)
        return std::nullopt;
    if (value->is_uint64())
        return value->get_uint64();
    if (value->is_int64() && value->get_int64() >= 0)
        return static_cast<std::uint64_t>(value->get_int64());
    return std::nullopt; // -1: no address yet
}

void add(std::vector<AddressRange>& taken, std::uint64_t begin, std::uint64_t size) {
    if (size > 0 && begin <= highest - size)
        taken.push_back({begin, begin + size});
}

void add_window(std::vector<AddressRange>& taken, const json::object& bus, const char* key) {
    const auto* value = bus.if_contains(key);
    const auto* range = value ? value->if_object() : nullptr;
    if (!range)
        return;
    const auto base = number(range->if_contains("base")),
               limit = number(range->if_contains("limit"));
    if (base && limit && *limit > *base) // else the bridge passes nothing on
        add(taken, *base, *limit - *base + 1);
}

void add_device(std::vector<AddressRange>& taken, const json::object& device) {
    if (const auto* regions = device.if_contains("regions"); regions && regions->is_array())
        for (const auto& each : regions->get_array()) {
            const auto* region = each.if_object();
            const auto* type = region ? region->if_contains("type") : nullptr;
            if (!type || !type->is_string() || type->get_string() != "memory")
                continue;
            const auto at = number(region->if_contains("address"));
            const auto size = number(region->if_contains("size"));
            if (at && size)
                add(taken, *at, *size);
        }
    const auto* bridge = device.if_contains("pci_bridge");
    const auto* object = bridge ? bridge->if_object() : nullptr;
    const auto* bus = object ? object->if_contains("bus") : nullptr;
    if (bus && bus->is_object())
        for (const char* key : {"memory_range", "prefetchable_range"})
            add_window(taken, bus->get_object(), key);
}

/// The parts of a range that nobody has.
class Gaps {
  public:
    Gaps(std::optional<AddressRange> range, const std::vector<AddressRange>& taken) {
        if (range)
            gaps_.push_back(*range);
        for (const auto& each : taken)
            cut(each);
    }

    bool place(std::uint64_t size) {
        for (const auto& gap : gaps_) {
            const auto at = aligned(gap.begin, size);
            if (!at || *at > gap.end || gap.end - *at < size)
                continue;
            cut({*at, *at + size});
            return true;
        }
        return false;
    }
    /// What is left of the largest gap once it begins where a BAR of that size may.
    std::uint64_t largest(std::uint64_t size) const {
        std::uint64_t most = 0;
        for (const auto& gap : gaps_)
            if (const auto at = aligned(gap.begin, std::min(size, gap.size())); at && *at < gap.end)
                most = std::max(most, gap.end - *at);
        return most;
    }

  private:
    static std::optional<std::uint64_t> aligned(std::uint64_t from, std::uint64_t size) {
        if (size == 0 || (size & (size - 1)) != 0)
            return from; // no BAR's size: nothing to align to
        if (from > highest - (size - 1))
            return std::nullopt;
        return (from + size - 1) & ~(size - 1);
    }

    void cut(const AddressRange& out) {
        std::vector<AddressRange> left;
        for (const auto& gap : gaps_) {
            const AddressRange before{gap.begin, std::min(gap.end, out.begin)};
            const AddressRange after{std::max(gap.begin, out.end), gap.end};
            for (const auto& part : {before, after})
                if (part.size() > 0)
                    left.push_back(part);
        }
        gaps_ = std::move(left);
    }

    std::vector<AddressRange> gaps_;
};

} // namespace

std::vector<AddressRange> parse_taken(const json::value& query_pci) {
    std::vector<AddressRange> taken;
    const auto* buses = query_pci.if_array();
    if (!buses)
        return taken;
    for (const auto& item : *buses) {
        const auto* bus = item.if_object();
        const auto* bus_number = bus ? bus->if_contains("bus") : nullptr;
        const auto* devices = bus ? bus->if_contains("devices") : nullptr;
        if (!bus_number || *bus_number != 0 || !devices || !devices->is_array())
            continue;
        for (const auto& device : devices->get_array())
            if (const auto* object = device.if_object())
                add_device(taken, *object);
    }
    return taken;
}

std::optional<AddressRange> parse_hole(const json::value& start, const json::value& end) {
    const auto first = number(&start), last = number(&end);
    if (!first || !last || *last <= *first)
        return std::nullopt;
    return AddressRange{*first, *last};
}

std::optional<Misfit> find_misfit(const RootWindow& window, std::vector<WantedBar> bars) {
    if (!window.settled())
        return std::nullopt;
    std::ranges::stable_sort(bars, std::ranges::greater(), &WantedBar::size);
    Gaps low(window.low, window.taken), high(window.high, window.taken);
    for (const auto& bar : bars) {
        if ((bar.is_64bit && high.place(bar.size)) || low.place(bar.size))
            continue;
        const auto above = bar.is_64bit ? high.largest(bar.size) : 0;
        return Misfit{bar, std::max(low.largest(bar.size), above)};
    }
    return std::nullopt;
}

} // namespace kata_vfio::qemu
