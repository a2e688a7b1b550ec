// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/cli/arguments.hpp"
#include "runtime-plugin/cli/io.hpp"

namespace kata_vfio::cli {

/// kata-vfio events: prints events as they come. Ends after --count of them (one unless --follow),
/// at Ctrl-C (130), or with QEMU. Throws Failure: qmp_timeout when --timeout passed before the
/// count was full, qemu_gone when QEMU ended before that, invalid_argument for a bad --match.
int events(const Arguments& arguments, Io& io);

} // namespace kata_vfio::cli
