// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/cli/help/command_help.hpp"

#include <string>

namespace kata_vfio::shim {

/// The shim's words, for --help and the manual page alike. parse_arguments() takes each of them.
cli::CommandHelp command_help();

/// What -help prints.
std::string usage();

} // namespace kata_vfio::shim
