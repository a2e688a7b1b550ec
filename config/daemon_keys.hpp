// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/keys.hpp"

namespace kata_vfio::config {

/// The rows of `[vfio.daemon]`.
std::vector<Key> daemon_keys();

} // namespace kata_vfio::config
