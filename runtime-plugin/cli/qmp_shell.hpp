// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/cli/io.hpp"
#include "runtime-plugin/cli/qmp_client.hpp"

namespace kata_vfio::cli {

/// The shell on a terminal: line editing, history, completion; events show between the lines as
/// they come. Ends with Ctrl-D, or throws what the connection was lost with. Ctrl-C drops the line,
/// or stops waiting for an answer.
int qmp_shell(QmpClient& client, bool raw, Io& io);

} // namespace kata_vfio::cli
