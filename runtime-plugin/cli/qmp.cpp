// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/qmp.hpp"

#include "config/base/failure.hpp"
#include "runtime-plugin/cli/qmp_shell.hpp"
#include "runtime-plugin/cli/qmp_text.hpp"
#include "runtime-plugin/cli/qmp_words.hpp"

#include <boost/json/serialize.hpp>
#include <unistd.h>

#include <iostream>
#include <string>

namespace kata_vfio::cli {
namespace {

/// Pretty for a person, one line for a program.
std::string result_text(const boost::json::value& value, bool raw) {
    return (raw ? boost::json::serialize(value) : pretty_json(value)) + "\n";
}

} // namespace

void qmp_script(QmpClient& client, std::istream& in, bool raw, Io& io) {
    std::string line;
    for (std::size_t number = 1; std::getline(in, line); ++number) {
        const auto at = "line " + std::to_string(number);
        try {
            if (auto command = qmp_line(line))
                io.out << result_text(client.execute(std::move(*command)), raw) << std::flush;
        } catch (Failure& failure) {
            throw failure.during(at);
        }
    }
}

int qmp(const Arguments& arguments, Io& io) {
    const bool raw = arguments.raw || arguments.json || ::isatty(STDOUT_FILENO) != 1;
    // Before anything is connected to: a mistyped argument is no business of QEMU's.
    const auto command =
        arguments.words.empty() ? std::nullopt : std::optional(qmp_command(arguments.words));
    QmpClient client(arguments);
    if (!command && ::isatty(STDIN_FILENO) == 1)
        return qmp_shell(client, arguments.raw, io);
    if (!command) {
        qmp_script(client, std::cin, raw, io);
        return 0;
    }
    io.out << result_text(client.execute(*command), raw);
    return 0;
}

} // namespace kata_vfio::cli
