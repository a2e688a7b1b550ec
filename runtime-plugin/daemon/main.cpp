// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/failure_text.hpp"
#include "runtime-plugin/daemon/run.hpp"
#include "runtime-plugin/plugin/outcome.hpp"

#include <iostream>

int main(int argc, char** argv) {
    using namespace kata_vfio;
    try {
        const auto parsed = daemon::parse({argv + 1, argv + argc});
        if (const auto* text = std::get_if<std::string>(&parsed)) {
            std::cout << *text << std::flush;
            return 0;
        }
        daemon::run(std::get<daemon::Options>(parsed));
        return 0;
    } catch (...) {
        const auto failure = plugin::failure_from(std::current_exception());
        std::cerr << "kata-vfiod: " << failure.what() << std::endl;
        return exit_status(failure.code());
    }
}
