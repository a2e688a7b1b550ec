// SPDX-License-Identifier: Apache-2.0
// kata-vfio-libvirt DIRECTORY: what kata-vfio asks of libvirt. A request a line on standard input,
// its answer a line on standard output (embedded.hpp), or {"error": {"status", "problem", "said",
// "remedy"}}; ends with its input. DIRECTORY is the caller's, absolute, has nothing in it but what
// an earlier libvirt has left in its cache, and is cleared by the caller: libvirt keeps its files
// there.
#include "config/base/failure.hpp"
#include "runtime-plugin/libvirt/embedded.hpp"
#include "runtime-plugin/libvirt/unprivileged.hpp"

#include <boost/json.hpp>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <optional>

namespace {

using namespace kata_vfio;
namespace json = boost::json;

json::object error_json(const Failure& failure) {
    return {{"error",
             {{"status", static_cast<int>(failure.code())},
              {"problem", failure.problem()},
              {"said", failure.verbatim()},
              {"remedy", failure.advice()}}}};
}

json::object answer_to(const std::string& line, std::optional<libvirt::Embedded>& driver,
                       const std::string& directory) {
    try {
        const auto request = json::parse(line).as_object();
        if (!driver)
            driver.emplace(directory);
        return driver->check(request);
    } catch (const Failure& failure) {
        return error_json(failure);
    } catch (const std::exception& error) {
        return error_json(Failure(Errc::internal, error.what()));
    }
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 2 || argv[1][0] != '/') {
        std::cerr << "usage: kata-vfio-libvirt DIRECTORY (kata-vfio xml check starts it)\n";
        return 2;
    }
    const std::string directory = argv[1];
    try {
        libvirt::become_unprivileged(directory);
    } catch (const Failure& failure) {
        std::cout << json::serialize(error_json(failure)) << std::endl;
        return 1;
    }
    // libvirt looks for its users' files below these.
    for (const auto* name :
         {"HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"})
        ::setenv(name, directory.c_str(), 1); // NOLINT(concurrency-mt-unsafe): no thread yet
    libvirt::end_with_probed(directory);
    std::optional<libvirt::Embedded> driver;
    for (std::string line; std::getline(std::cin, line);)
        std::cout << json::serialize(answer_to(line, driver, directory)) << std::endl;
    // The driver's threads have no end of their own.
    ::_exit(std::cout ? 0 : 1);
}
