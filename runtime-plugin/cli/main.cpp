// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/run.hpp"

#include <unistd.h>

#include <cstdlib>
#include <iostream>

int main(int argc, char** argv) {
    std::ios::sync_with_stdio(false);
    // NO_COLOR: https://no-color.org
    const bool colour = ::isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
    kata_vfio::cli::Io io{std::cout, std::cerr, colour};
    return kata_vfio::cli::run({argv + 1, argv + argc}, io);
}
