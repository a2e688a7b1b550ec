// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"
#include "qemu/guest_facts.hpp"
#include "vfio/host_root.hpp"
#include "vfio/pci_function.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Limits that a device_add of a passthrough function would run into, found before QEMU is asked:
/// its own words for them are an errno, or nothing at all. Each refusal has the figures and what to
/// do. A figure that is not known refuses nothing.
namespace kata_vfio::plugin {

/// A QEMU process as the kernel limits it.
struct ProcessLimits {
    std::int64_t pid = 0;
    std::optional<std::uint64_t>
        memlock;             ///< RLIMIT_MEMLOCK, soft, bytes; nullopt: none, or unknown
    bool may_exceed = false; ///< CAP_IPC_LOCK: memlock does not bind it
};

/// The soft limit of "Max locked memory" in /proc/PID/limits; nullopt for unlimited or no such
/// line.
std::optional<std::uint64_t> parse_memlock(std::string_view limits);
/// CAP_IPC_LOCK, bit 14, in the hexadecimal set that status has.
bool has_ipc_lock(std::string_view capabilities);
ProcessLimits read_limits(const vfio::HostRoot& root, std::int64_t pid);

/// The kernel's most DMA mappings of one container (vfio_iommu_type1.dma_entry_limit).
inline constexpr std::uint64_t default_dma_entries = 65535;

/// What stands in the way of giving functions with these BARs to the guest; nullopt: nothing.
/// `pinned`: the guest's memory is pinned already, by a function that it has.
std::optional<Failure> limit_in_the_way(const ProcessLimits& process, const qemu::GuestFacts& guest,
                                        const std::vector<vfio::PciFunction>& functions,
                                        bool pinned,
                                        std::uint64_t dma_entries = default_dma_entries);

} // namespace kata_vfio::plugin
