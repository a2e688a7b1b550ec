// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace kata_vfio {

// Capabilities of the calling thread, as bits: 1 << CAP_NET_ADMIN. capabilities(7).

/// The five sets.
struct CapabilitySets {
    std::uint64_t bounding = 0, effective = 0, inheritable = 0, permitted = 0, ambient = 0;
};

/// Takes all others out of the bounding set: no program it becomes has them again. Wants
/// CAP_SETPCAP unless nothing is to be taken. Throws SystemError.
void bound_capabilities(std::uint64_t kept);

/// The other four sets; the bounding set is left as it is. Throws SystemError. An ambient one that
/// is not inheritable is left out, as by runc.
void apply_capabilities(const CapabilitySets& wanted);

/// Those it may have in effect. Throws SystemError.
std::uint64_t permitted_capabilities();

} // namespace kata_vfio
