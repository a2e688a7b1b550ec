// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/cli/io.hpp"

#include <optional>
#include <string>
#include <vector>

namespace kata_vfio::cli {

/// What packages and shells ask the command for, in no --help: `--man` prints the manual page,
/// `__complete -- WORD...` the candidates for the last word. Nullopt: none of these was asked for.
std::optional<int> help_verb(const std::vector<std::string>& args, Io& io);

} // namespace kata_vfio::cli
