// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/help/man_page.hpp"
#include "runtime-plugin/shim/command/commands.hpp"
#include "runtime-plugin/shim/command/usage.hpp"
#include "runtime-plugin/shim/ttrpc/status.hpp"

#include <sys/stat.h>

#include <exception>
#include <iostream>

int main(int count, char** words) {
    using namespace kata_vfio;
    ::umask(077);
    try {
        const auto arguments =
            shim::parse_arguments(std::vector<std::string>(words + 1, words + count));
        const vfio::HostRoot root;
        switch (arguments.action) {
        case shim::Arguments::Action::start:
            return shim::start(arguments, root);
        case shim::Arguments::Action::remove:
            return shim::remove(arguments, root);
        case shim::Arguments::Action::version:
            std::cout << "containerd-shim-kata-vfio-v2 " KATA_VFIO_VERSION "\n";
            return 0;
        case shim::Arguments::Action::help:
            std::cout << shim::usage();
            return 0;
        case shim::Arguments::Action::man:
            std::cout << cli::man_page(shim::command_help(), 8,
                                       "containerd-shim-kata-vfio-v2 " KATA_VFIO_VERSION,
                                       "kata-vfio(1)");
            return 0;
        }
    } catch (const std::exception& error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
    return 1;
}
