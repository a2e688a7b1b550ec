// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vfio/deadline.hpp"
#include "vfio/host_root.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kata_vfio::plugin {

/// A process's start time in clock ticks after boot: field 22 of /proc/PID/stat. With the pid it
/// names one process for ever. nullopt: no such process. Source: proc(5).
std::optional<std::uint64_t> start_time(const vfio::HostRoot& root, std::int64_t pid);

/// The value of a line of /proc/PID/status, "CapEff" for example, trimmed; nullopt: no such
/// process, or no such line. Source: proc(5).
std::optional<std::string> status_line(const vfio::HostRoot& root, std::int64_t pid,
                                       std::string_view key);
/// The same of the file's text, for who needs several; it points into that.
std::optional<std::string_view> status_value(std::string_view status, std::string_view key);

/// Whether that very process runs. False for pid 0, which stands for "not known".
bool lives(const vfio::HostRoot& root, std::int64_t pid, std::uint64_t start);

/// Waits until the process is gone (pidfd, so its files are closed by then). True at once when pid
/// and start name none that lives; false when the deadline passed first. Blocks.
bool await_process_exit(const vfio::HostRoot& root, std::int64_t pid, std::uint64_t start,
                        vfio::Deadline deadline);

} // namespace kata_vfio::plugin
