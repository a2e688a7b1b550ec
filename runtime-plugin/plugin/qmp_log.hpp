// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "qemu/wire_log/wire_log.hpp"
#include "runtime-plugin/plugin/context.hpp"

#include <filesystem>
#include <memory>
#include <string>

namespace kata_vfio::plugin {

/// Where a sandbox's QMP log is, in its state directory.
inline std::filesystem::path qmp_log_path(const StateDir& state, const std::string& id) {
    return state.sandbox(id) / "wire.log";
}

/// The log of one connection of the sandbox, as [vfio] qmp_log* has it; nullptr when it is off. An
/// error of it goes to the host's log, and is none of the connection's.
std::shared_ptr<qemu::WireLog> start_qmp_log(const Context& context, const std::string& id,
                                             const std::string& qmp_socket);

} // namespace kata_vfio::plugin
