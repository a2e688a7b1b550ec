// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::qemu::domain_xml {

/// What libvirt says of an emulator and a machine (formatdomaincaps).
struct MachineFacts {
    std::string emulator; ///< its path
    std::string type;     ///< "kvm" or "qemu"
    std::string machine;  ///< the alias resolved: "pc-i440fx-7.2"
    std::string arch;
    std::uint64_t vcpu_max = 0; ///< 0: not told
    bool pci_hostdev = false;   ///< <hostdev type='pci'> is known; libvirt never lists mdev
};

/// Throws Failure(invalid_argument) for what is no such document.
MachineFacts read_facts(std::string_view capabilities_xml);

/// The domain document as libvirt can be asked for its command line: with `type` at its root (a
/// host may have no KVM), and VFIO named as each function's driver, which read_domain() takes for
/// granted. Unnamed, libvirt only settles it when it starts the domain: of a command line it says
/// "invalid PCI passthrough type 'default'", on hosts with VFIO as on those without (9.0).
std::string for_any_host(std::string_view domain_xml, const std::string& type);

} // namespace kata_vfio::qemu::domain_xml
