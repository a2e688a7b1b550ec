// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "qemu/device_add.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::qemu::domain_xml {

/// A PCI function's place, on the host or in the guest, as libvirt's <address> has it.
struct PciPlace {
    std::uint32_t domain = 0; ///< 0-ffff
    unsigned bus = 0;         ///< 0-ff
    unsigned slot = 0;        ///< 0-1f
    unsigned function = 0;    ///< 0-7

    /// "0000:00:05.0"; nullopt for anything else.
    static std::optional<PciPlace> parse(std::string_view text) noexcept;
    std::string text() const;
    bool operator==(const PciPlace&) const = default;
};

/// One <hostdev>: what a sandbox has on VFIO.
struct Hostdev {
    enum class Kind { pci, mdev };

    Kind kind = Kind::pci;
    PciPlace host;    ///< of a pci one
    std::string uuid; ///< of an mdev one, as written
    /// pci: libvirt binds and gives it back itself. We do so always (docs/lifecycle.md).
    bool managed = true;
    std::optional<PciPlace> guest; ///< nullopt: whoever plugs it chooses
    bool multifunction = false;    ///< function 0 of a guest's slot that has others
    /// Of <alias name='ua-...'>, without "ua-": libvirt takes ids of others in that form alone.
    std::string id;
    int line = 0; ///< in the document it was read from, from 1

    /// "function 0000:00:02.0", "vGPU bbc4...", for messages.
    std::string name() const;
    /// What QEMU gets as sysfsdev.
    std::string sysfsdev() const;
};

/// A machine as far as it matters for VFIO devices.
struct Domain {
    std::string name;
    std::string uuid;    ///< "" when not told: libvirt then makes one
    bool kvm = true;     ///< else TCG (type='qemu')
    std::string machine; ///< "pc", "pc-i440fx-7.2"
    std::string emulator;
    std::uint64_t memory_kib = 0;
    std::uint64_t vcpus = 1;
    std::vector<Hostdev> hostdevs;
    /// What was read and means nothing to us, or something else: a line each, for people.
    std::vector<std::string> notes;
};

/// device_add's arguments for it, by the encoder that every attach uses.
VfioDevice vfio_device(const Hostdev& hostdev);

/// libvirt's domain XML (formatdomain). Only what is known is in it, and what libvirt would
/// otherwise add to the root bus (USB controller, balloon) is switched off.
std::string write_domain(const Domain& domain);

/// Reads a <domain> document of at most 4 MiB. Throws Failure, naming the line: invalid_argument
/// for what is no such document, or a device that hot-plug can't give a guest as it is asked for
/// (display, ramfb, an option ROM, a bus behind a bridge, what is not VFIO); machine_refused for a
/// machine whose root bus takes no VFIO device. DOCTYPEs are refused: entities could be anything.
Domain read_domain(std::string_view xml);

/// Whether the document's root element has this name ("domain", "device"); false also for what is
/// no XML.
bool is_document_of(std::string_view xml, std::string_view root);

} // namespace kata_vfio::qemu::domain_xml
