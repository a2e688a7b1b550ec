// SPDX-License-Identifier: Apache-2.0
// PCI addresses and UUIDs: what is taken prints as something that is taken as the same.
#include "mdev/uuid.hpp"
#include "test/fuzz/fuzz.hpp"
#include "vfio/pci_address.hpp"

using kata_vfio::mdev::Uuid;
using kata_vfio::vfio::PciAddress;

namespace kata_vfio::fuzz {

void one(std::string_view bytes) {
    const auto address = PciAddress::parse(bytes);
    if (address) {
        require(address->device <= 31 && address->function <= 7, "device and function in range");
        require(PciAddress::parse(address->text()) == address, "an address reads back as it was");
        require(address->text().size() <= bytes.size(), "an address has one shortest form");
    }
    const auto no_address = refusal({Errc::malformed_address}, [&] {
        require(PciAddress::require(bytes) == address, "require() takes what parse() takes");
    });
    require(no_address.has_value() != address.has_value(), "parse() takes what require() takes");

    const auto no_uuid = refusal({Errc::malformed_uuid}, [&] {
        const auto uuid = Uuid::require(bytes);
        require(uuid.text() == bytes && Uuid::require(uuid.text()) == uuid,
                "a UUID reads back as it was");
    });
    require(no_uuid || Uuid::looks_like(bytes), "a UUID looks like one");
}

} // namespace kata_vfio::fuzz
