// SPDX-License-Identifier: Apache-2.0
// What QEMU has, from any two replies (query-pci, qom-list; a line each): refused as documented, or
// a list in which each id that can be asked for has one state. The same two are taken for
// query-qmp-schema and device-list-properties, which never refuse.
#include "qemu/inventory.hpp"
#include "qemu/capabilities.hpp"
#include "test/fuzz/fuzz.hpp"

#include <boost/json/parse.hpp>

using namespace kata_vfio::qemu;
namespace json = boost::json;

namespace kata_vfio::fuzz {
namespace {

json::value read(std::string_view line) {
    boost::json::error_code error;
    json::parse_options options;
    options.max_depth = 1024;
    auto value = json::parse(line, error, {}, options);
    return error ? json::value() : value;
}

void check(const Inventory& inventory) {
    for (const auto& device : inventory.devices()) {
        require(!device.id.empty(), "a device without an id is none of ours");
        require(device.state == LifeState::present || device.state == LifeState::removing,
                "what is listed is there or going");
        require(device.guest_address.empty() || device.guest_address.size() == 12,
                "an address is whole or absent");
        require((device.state == LifeState::removing) == device.type.empty() ||
                    device.state == LifeState::present,
                "what QEMU's book lacks has no type");
        require(inventory.state(device.id) != LifeState::absent, "what is listed is found");
    }
}

} // namespace

void one(std::string_view bytes) {
    const auto first = read(take_line(bytes));
    const auto second = read(bytes);
    refusal({Errc::qmp_protocol}, [&] { check(Inventory::parse(first, second)); });
    const auto found = parse_capabilities(first, second);
    require(!found.takes_iommufd() || (found.iommufd && found.iommufd_object),
            "iommufd takes property and object");
}

} // namespace kata_vfio::fuzz
