// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

namespace kata_vfio::libvirt {

/// As root: gives `directory`, with all that is in it, and this process to the user nobody, with
/// the group that may use KVM where there is one. libvirt reads XML that anybody may have written
/// and starts QEMU to ask it what it can do; as root it would besides want the user libvirt-qemu,
/// which only its daemon's package makes. Anybody else stays who they are. Throws Failure.
void become_unprivileged(const std::filesystem::path& directory);

/// From now on SIGTERM, SIGINT and the end of the process that started this one end it, and with it
/// the QEMUs that libvirt has started to probe (they make themselves daemons, so they would be left
/// behind; adopting them instead keeps libvirt waiting for zombies). Before any other thread.
void end_with_probed(const std::filesystem::path& directory);

} // namespace kata_vfio::libvirt
