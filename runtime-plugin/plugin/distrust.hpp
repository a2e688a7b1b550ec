// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

namespace kata_vfio::plugin {

/// Why a path is not to be read as ours; "" when it may be, or is not there. Whoever can make a
/// file in a root-only directory is root, but a restored backup or a bind mount may bring in
/// others'.
std::string distrust(const std::filesystem::path& path, bool directory = false);

} // namespace kata_vfio::plugin
