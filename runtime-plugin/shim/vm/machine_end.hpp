// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "qemu/qmp/message.hpp"

#include <string>

namespace kata_vfio::shim {

/// What an event tells of why a machine ends, for the log; "" when it is not about that. Of
/// SHUTDOWN the reasons of QEMU's qapi/run-state.json (7.2 to 10.0). Pure.
std::string machine_end(const qemu::Event& event);

} // namespace kata_vfio::shim
