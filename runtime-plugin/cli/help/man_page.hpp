// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/cli/help/command_help.hpp"

#include <string>

namespace kata_vfio::cli {

/// A manual page in man(7)'s macros. `section`: 1 or 8; `version`: "kata-vfio 0.1.0"; `see_also`:
/// "kata-vfiod(8)". Has no date, so that the same source gives the same bytes.
std::string man_page(const CommandHelp& help, int section, const std::string& version,
                     const std::string& see_also);

} // namespace kata_vfio::cli
