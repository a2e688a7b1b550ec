// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/vm/privileges.hpp"

#include "runtime-plugin/kernel/capability_sets.hpp"
#include "runtime-plugin/shim/oci/spec.hpp"

#include <array>

namespace kata_vfio::shim {
namespace {

// An overlay's copy-up is done with the rights of who has mounted it, which is the shim; the file
// server of the share is QEMU, with virtio-9p. So what a container's root may do to its files both
// have to keep.
constexpr std::array<Privilege, 13> kept{{
    {"CAP_SYS_ADMIN", "mounts the share and the containers' root file systems", false},
    {"CAP_SYS_PTRACE", "sees who has a VFIO group open (/proc/PID/fd)", false},
    {"CAP_SYS_RESOURCE", "raises RLIMIT_MEMLOCK for QEMU", false},
    {"CAP_KILL", "ends a QEMU that runs as another user", false},
    {"CAP_SETUID", "starts QEMU as another user", false},
    {"CAP_SETGID", "the same, its groups", false},
    {"CAP_SETPCAP", "takes capabilities from QEMU", false},
    {"CAP_CHOWN", "files of the share; the VFIO node of an unprivileged QEMU", true},
    {"CAP_DAC_OVERRIDE", "files of the share that are closed to root's group and others", true},
    {"CAP_DAC_READ_SEARCH", "the same, for reading", true},
    {"CAP_FOWNER", "modes and times of files of other users in the share", true},
    {"CAP_FSETID", "set-id bits of files in the share, which mean nothing on the host", true},
    {"CAP_SETFCAP", "capabilities of programs in the share, the same", true},
}};

std::uint64_t bits(bool of_qemu) noexcept {
    std::uint64_t all = 0;
    for (const auto& privilege : kept)
        if (!of_qemu || privilege.qemu)
            all |= std::uint64_t{1} << oci::capability_number(privilege.name);
    return all;
}

} // namespace

std::span<const Privilege> privileges() noexcept {
    return kept;
}
std::uint64_t shim_capabilities() noexcept {
    return bits(false);
}
std::uint64_t qemu_capabilities() noexcept {
    return bits(true);
}
std::uint64_t file_server_capabilities() noexcept {
    auto all = bits(true);
    for (const auto* name :
         {"CAP_SYS_ADMIN", "CAP_SYS_RESOURCE", "CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"})
        all |= std::uint64_t{1} << oci::capability_number(name);
    return all;
}

void keep_shim_capabilities() {
    bound_capabilities(shim_capabilities());
    // A containerd in a container of its own may have fewer.
    const auto had = permitted_capabilities() & shim_capabilities();
    CapabilitySets sets;
    sets.permitted = sets.effective = had;
    apply_capabilities(sets);
}

} // namespace kata_vfio::shim
