// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/plugin/state_dir.hpp"

#include <filesystem>
#include <string>

namespace kata_vfio::plugin {

struct Quarantined {
    std::filesystem::path from;
    std::filesystem::path to;
    std::string why;
};

/// Moves a file, or a sandbox's whole directory, that can't be trusted out of the way and leaves it
/// as it is: quarantine/NAME, with ".1", ".2", .. where that is taken, and the reason beside it in
/// NAME.why. Nothing in there is ever read or removed by us. Throws Failure(host_io,
/// permission_denied).
Quarantined quarantine(const StateDir& directory, const std::filesystem::path& path,
                       const std::string& why);

} // namespace kata_vfio::plugin
