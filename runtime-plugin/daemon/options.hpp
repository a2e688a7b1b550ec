// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <variant>
#include <vector>

namespace kata_vfio::daemon {

/// The command line of kata-vfiod.
struct Options {
    std::string config; ///< "": Kata's search order
    std::string root = "/";
    std::string socket;  ///< "": as configured
    std::string metrics; ///< "": as configured
    bool debug = false;
};

/// The options, or the text that --help or --version asked for. Throws Failure(invalid_argument).
std::variant<Options, std::string> parse(const std::vector<std::string>& args);

} // namespace kata_vfio::daemon
