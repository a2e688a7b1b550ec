// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/cli/arguments.hpp"
#include "runtime-plugin/cli/io.hpp"

namespace kata_vfio::cli {

// kata-vfio config ...: print their result themselves and return the exit status; 3 when a rule is
// broken. Throw Failure(config_invalid) when the configuration can't even be read.
int config_check(const Arguments& arguments, Io& io);
int config_enable(const Arguments& arguments, Io& io);
int config_set_kernel(const Arguments& arguments, Io& io);
int config_show(const Arguments& arguments, Io& io);

} // namespace kata_vfio::cli
