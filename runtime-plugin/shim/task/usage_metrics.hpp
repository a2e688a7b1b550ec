// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "metrics.pb.h"
#include "runtime-plugin/agent/protocol/message.hpp"

namespace kata_vfio::shim {

/// What the guest's cgroup tells, as containerd reads it (of cgroup version 2, its Stats).
io::containerd::cgroups::v2::Metrics metrics_of(const agent::Usage& used);

} // namespace kata_vfio::shim
