// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/cli/arguments.hpp"
#include "runtime-plugin/cli/io.hpp"
#include "runtime-plugin/cli/qmp_client.hpp"

#include <iosfwd>

namespace kata_vfio::cli {

/// kata-vfio qmp: one command, or a shell where standard input is a terminal, or else the commands
/// of standard input. Returns the exit status; throws Failure, QEMU's own refusals as qemu_refused.
int qmp(const Arguments& arguments, Io& io);

/// One command a line, up to the first that fails, which is thrown with its line's number.
void qmp_script(QmpClient& client, std::istream& in, bool raw, Io& io);

} // namespace kata_vfio::cli
