// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/daemon/core.hpp"

namespace kata_vfio::daemon {

/// What /metrics answers: the counters, and the host as it is at this moment. A host that can't be
/// read leaves its gauges as they were.
boost::asio::awaitable<std::string> scrape(Core& core);

} // namespace kata_vfio::daemon
