// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace kata_vfio::daemon {

enum class Level { error = 0, warning = 1, info = 2, debug = 3 }; ///< KATA_VFIO_LOG_*

/// One line to standard error, in one write; with the journal's priority in front where standard
/// error is the journal's (JOURNAL_STREAM). Control bytes become '?'. [any-thread]
void log(Level level, std::string_view line);

/// Debug lines are dropped unless this was called.
void log_debug_too();

} // namespace kata_vfio::daemon
