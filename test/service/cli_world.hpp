// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "test/places/places.hpp"
#include "test/service/service_world.hpp"

#include <sys/wait.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace kata_vfio::service_test {

struct Printed {
    int status = -1;
    std::string out, err;
};

class Cli : public Service {
  protected:
    std::string command(const std::vector<std::string>& words, bool by_daemon) const {
        std::string line = "KATA_VFIO_PLUGIN=" + std::string(test::library) + " " +
                           std::string(test::binary_dir) + "/bin/kata-vfio";
        if (by_daemon)
            line += " --daemon " + address();
        else
            line += " --config " + config.string() + " --root " + root.path().string();
        for (const auto& word : words)
            line += " '" + word + "'";
        return line;
    }
    /// `input` is standard input; it may have no apostrophe.
    Printed run(const std::vector<std::string>& words, bool by_daemon,
                const std::string& input = {}) const {
        const auto out = directory / "out", err = directory / "err";
        const int status = std::system(("printf %s '" + input + "' | " + command(words, by_daemon) +
                                        " >" + out.string() + " 2>" + err.string())
                                           .c_str());
        const auto content = [](const std::filesystem::path& file) {
            std::ifstream in(file);
            return std::string(std::istreambuf_iterator<char>(in), {});
        };
        return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, content(out), content(err)};
    }
};

} // namespace kata_vfio::service_test
