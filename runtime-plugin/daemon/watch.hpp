// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kata_vfio/v1/sandboxes.pb.h"
#include "runtime-plugin/daemon/call.hpp"
#include "runtime-plugin/daemon/core.hpp"

#include <memory>

namespace kata_vfio::daemon {

/// One client's Sandboxes.Watch. It keeps a place in the core's events and no events of its own, so
/// that the number of clients, and how slow they are, costs nothing. On the loop's thread.
void watch(Core& core, v1::WatchRequest request, std::shared_ptr<StreamCall> stream);

} // namespace kata_vfio::daemon
