// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vfio/pci_function.hpp"

#include <optional>
#include <string_view>
#include <vector>

/// Which functions of an IOMMU group go to a guest together, and where in its slots. Decisions
/// about what was read; nothing is looked at here.
namespace kata_vfio::plugin {

enum class TakeSiblings {
    no,    ///< what was asked for, and nothing else
    audio, ///< a GPU's audio function in the same slot as well
    all,   ///< every function of the group
};
/// [vfio] take_siblings; its values are the schema's.
TakeSiblings take_siblings_of(std::string_view text);

/// The functions to be taken, by address: `asked`, and of the group's `members` those that
/// `siblings` adds. Bridges are never taken, by class or header: vfio-pci refuses them, and the
/// kernel lets a group go to a guest with its bridges left to pcieport.
std::vector<vfio::PciAddress> plan_group(const std::vector<vfio::PciFunction>& members,
                                         const std::vector<vfio::PciAddress>& asked,
                                         TakeSiblings siblings);

/// A function's place beside others of its host slot.
struct SlotMate {
    vfio::PciAddress address;
    unsigned function = 0; ///< in the guest
};
/// Functions of one host slot each, in the order in which they are to be plugged: function 0 last,
/// since it is what makes the guest look at the slot (hw/acpi/pcihp.c, the guest's acpiphp). They
/// keep their numbers where 0 is among them; else they move down, as a slot without function 0 is
/// empty to a guest. Sets of one have function 0.
std::vector<std::vector<SlotMate>> plan_slots(std::vector<vfio::PciAddress> taken);

} // namespace kata_vfio::plugin
