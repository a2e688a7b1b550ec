// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/daemon/core.hpp"

namespace kata_vfio::daemon {

/// [any-thread] One client's Sandboxes.Watch. It keeps a place in the core's events and no events
/// of its own, so that the number of clients, and how slow they are, costs nothing.
grpc::ServerWriteReactor<v1::WatchResponse>* begin_watch(Core& core, v1::WatchRequest request);

} // namespace kata_vfio::daemon
