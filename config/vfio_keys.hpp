// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/keys.hpp"

#include <vector>

namespace kata_vfio::config {

/// The rows of [vfio] and the tables in it, for keys().
std::vector<Key> vfio_keys();

} // namespace kata_vfio::config
