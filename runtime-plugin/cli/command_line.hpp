// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/cli/arguments.hpp"
#include "runtime-plugin/cli/help/command_help.hpp"

#include <string>
#include <variant>
#include <vector>

namespace kata_vfio::cli {

/// --help or --version was asked for: the text to print.
struct Information {
    std::string text;
};

/// Takes the command line apart. Pure. Throws Failure(invalid_argument) for wrong usage, with the
/// verb or option that was probably meant and the way to its help.
std::variant<Arguments, Information> parse(const std::vector<std::string>& args);

/// What all --help texts are made of.
CommandHelp command_help();

} // namespace kata_vfio::cli
