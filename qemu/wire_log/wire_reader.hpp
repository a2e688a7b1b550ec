// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "qemu/wire_log/wire_record.hpp"

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace kata_vfio::qemu {

/// Of problems with a log, kept for people.
inline constexpr std::size_t most_wire_problems = 100;

/// A log as it was found. What can't be read costs its own line, nothing else.
struct WireHistory {
    std::vector<WireRecord> records;   ///< in the order written, oldest file first; no headers
    std::vector<std::string> problems; ///< "wire.log.1:17: why", the first ones
    std::size_t bad_lines = 0;
    std::vector<std::string> files; ///< read, oldest first
};

/// One line of a log as its readers take it: nothing (an empty line, a file's beginning), a record,
/// or why it can't be read. `complete`: it ended with a newline; one without may be torn (the
/// process was killed in it), which is a problem of its own wording, or whole, which is none. Pure.
std::variant<std::monostate, WireRecord, std::string> read_wire_line(std::string_view line,
                                                                     bool complete);

/// Adds a file's text. Pure.
void add_wire_text(WireHistory& history, std::string_view text, const std::string& file);

/// Reads PATH and what it was rotated into (PATH.1, PATH.2, ..). Throws Failure: host_io when there
/// is none of them or they are no files, permission_denied.
WireHistory read_wire_log(const std::filesystem::path& path);

} // namespace kata_vfio::qemu
