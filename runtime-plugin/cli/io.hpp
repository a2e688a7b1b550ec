// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ostream>

namespace kata_vfio::cli {

/// Where the command writes: results to `out`, everything else to `err`.
struct Io {
    std::ostream& out;
    std::ostream& err;
    bool colour = false; ///< `out` is a terminal that shows them
};

} // namespace kata_vfio::cli
