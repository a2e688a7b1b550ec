// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace kata_vfio::shim {

using Fields = std::initializer_list<std::pair<std::string_view, std::string_view>>;

enum class LogLevel { error, warning, info, debug };

/// One line of logfmt to stderr, which in a running shim is containerd's log fifo, as containerd's
/// own shims write it: time="..." level=info msg="..." key="value". Never blocks and never fails:
/// what the fifo can't take is dropped. [any-thread]
void log_line(LogLevel level, std::string_view message, Fields fields);
inline void log_error(std::string_view message, Fields fields) {
    log_line(LogLevel::error, message, fields);
}
inline void log_warning(std::string_view message, Fields fields) {
    log_line(LogLevel::warning, message, fields);
}
inline void log_info(std::string_view message, Fields fields) {
    log_line(LogLevel::info, message, fields);
}
inline void log_debug(std::string_view message, Fields fields) {
    log_line(LogLevel::debug, message, fields);
}
/// Whether debug lines are written (-debug, or enable_debug of [runtime]).
void log_with_debug(bool on) noexcept;
/// Nothing is written before this: while `start` runs, containerd reads stderr together with the
/// address.
void log_enable(bool on) noexcept;

/// The text as a quoted logfmt value: quotes and control characters escaped, cut after 4096 bytes.
std::string log_value(std::string_view text);

} // namespace kata_vfio::shim
