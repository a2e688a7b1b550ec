// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "qemu/qmp/message.hpp"

#include <optional>
#include <string>

namespace kata_vfio::qemu {

/// What an event tells of why a machine ends, for the log; "" when it is not about that. Of
/// SHUTDOWN the reasons of QEMU's qapi/run-state.json (7.2 to 10.0). Pure.
std::string machine_end(const Event& event);

/// Whether the event announces an end that somebody meant: the guest has switched itself off, or a
/// client of QMP has said quit. nullopt: it says nothing of that. One that came before the
/// connection's end tells an ordinary end from QEMU's crash. Pure.
std::optional<bool> ends_in_order(const Event& event);

} // namespace kata_vfio::qemu
