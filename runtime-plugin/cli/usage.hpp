// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"

#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace kata_vfio::cli {

/// The first word of a refused command line that no verb or option is called, with what was
/// probably meant; nullopt: all words are known, and something else is wrong. CLI11 itself
/// complains of what it misses first ("A subcommand is required").
std::optional<Failure> unknown_word(const CLI::App& app, const std::vector<std::string>& args);

} // namespace kata_vfio::cli
