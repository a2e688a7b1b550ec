// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vfio/host_root.hpp"

#include <filesystem>

namespace kata_vfio::vfio {

/// The host path that `told` (absolute) stands for once every symbolic link in it is followed, with
/// links, absolute ones too, and ".." staying inside the injected root. A component that does not
/// exist is kept as it is. Throws Failure(device_not_found) on a loop of links.
std::filesystem::path resolve_inside(const HostRoot& root, const std::filesystem::path& told);

} // namespace kata_vfio::vfio
