// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/json/value.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace kata_vfio::qemu {

/// One line of a wire log (docs/qmp-debugging.md), read back.
struct WireRecord {
    enum class Kind {
        log,         ///< the beginning of a file
        connect,     ///< why: where to
        sent,        ///< by us
        received,    ///< from QEMU
        synthesised, ///< an event that QEMU did not send: it followed from its answers
        torn,        ///< a message the connection ended in; `received` tells its direction
        lost,        ///< why
        closed,      ///< by our side
        gap,         ///< `bytes` of traffic are not in the log; why
        unknown,     ///< a kind of a later version; `name` has it
    };
    Kind kind = Kind::unknown;
    std::string name;         ///< the kind as written
    std::int64_t us = 0;      ///< CLOCK_MONOTONIC of the host, microseconds
    std::int64_t wall_us = 0; ///< since the epoch
    std::uint64_t connection = 0;
    bool received = false; ///< direction, of sent, received and torn

    /// The message as it went over the wire (line breaks between tokens are spaces, redacted values
    /// are "[redacted]"), or the bytes of what was no JSON.
    std::string text;
    boost::json::value message; ///< null unless `text` is JSON
    bool is_json = false;
    std::string why;
    std::uint64_t bytes = 0;

    std::string file; ///< its base name
    std::size_t line = 0;

    /// "wire.log.1:17"
    std::string at() const { return file + ":" + std::to_string(line); }
};

/// By the word of a log; unknown for one of a later version.
WireRecord::Kind wire_kind(std::string_view name);

/// A line without its newline; or why it can't be read. Members that nobody knows are ignored.
std::variant<WireRecord, std::string> parse_wire_line(std::string_view line);

} // namespace kata_vfio::qemu
