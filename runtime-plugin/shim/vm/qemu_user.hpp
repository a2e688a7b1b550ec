// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/uid_range.hpp"
#include "runtime-plugin/plugin/node_rights.hpp"
#include "runtime-plugin/shim/vm/place.hpp"

#include <cstdint>
#include <optional>
#include <vector>

namespace kata_vfio::shim {

/// Whom a rootless QEMU runs as: a user that no other process is, so that what one QEMU was made to
/// do reaches neither the files nor the memory of another's.
struct QemuUser {
    std::uint32_t id = 0;              ///< of the user and of its group
    std::vector<std::uint32_t> groups; ///< besides
};

/// The groups that `id` needs to open /dev/kvm, none where it may anyway; nullopt: it can't be let.
/// Root's group is given to nobody.
std::optional<std::vector<std::uint32_t>> kvm_groups(std::uint32_t id,
                                                     const plugin::FileRights& kvm);

/// One that no sandbox here has, remembered in `place` for as long as that is there. `kvm`: it is
/// to open /dev/kvm. Throws Failure: config_invalid (/dev/kvm is closed to it), host_io, or when
/// all of the range are taken.
QemuUser take_user(const vfio::HostRoot& root, const Place& place, config::UidRange range,
                   bool kvm);

} // namespace kata_vfio::shim
