// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace kata_vfio::shim {

/// One capability that is kept, and what for. docs/security.md has the same table.
struct Privilege {
    std::string_view name; ///< "CAP_CHOWN"
    std::string_view reason;
    bool qemu = false; ///< a QEMU that serves the share, as root, keeps it too
};

std::span<const Privilege> privileges() noexcept;

/// As bits, 1 << CAP_CHOWN: what the shim keeps, and what of it its QEMU does.
std::uint64_t shim_capabilities() noexcept;
std::uint64_t qemu_capabilities() noexcept;

/// And what virtiofsd does: it sets itself apart with these, and keeps
/// those for files.
std::uint64_t file_server_capabilities() noexcept;

/// Gives all others up, for this process and all it becomes or starts. Before it has a second
/// thread: capabilities are a thread's. Throws agent::SystemError.
void keep_shim_capabilities();

} // namespace kata_vfio::shim
