// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <string>

namespace kata_vfio::service_test {

/// A command of the shell's that has ended; what it said, errors included.
struct Ran {
    int status = -1;
    std::string out;
};

inline Ran run(const std::string& command) {
    Ran ran;
    FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
    std::array<char, 4096> buffer;
    while (const auto size = std::fread(buffer.data(), 1, buffer.size(), pipe))
        ran.out.append(buffer.data(), size);
    const int status = ::pclose(pipe);
    ran.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return ran;
}

inline std::string get_metrics(const std::string& socket) {
    return run("curl -sS --unix-socket " + socket + " http://localhost/metrics").out;
}

} // namespace kata_vfio::service_test
