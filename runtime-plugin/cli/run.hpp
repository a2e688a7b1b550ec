// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/cli/io.hpp"

#include <string>
#include <vector>

namespace kata_vfio::cli {

/// The command `kata-vfio ARGS`: returns its exit status. 0 done, 1 our own fault, 2 usage,
/// 3 policy, 4 host or device, 5 QEMU, 6 timed out, 130 cancelled (docs/cli.md). Throws nothing.
int run(const std::vector<std::string>& args, Io& io) noexcept;

} // namespace kata_vfio::cli
