// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace kata_vfio::qemu {

/// What the session's side hands to the log's: bytes as they went over the wire, cut anywhere, or
/// something that happened to the connection.
struct WireChunk {
    enum class Kind {
        connect,  ///< bytes: where to
        sent,     ///< bytes: from us to QEMU
        received, ///< bytes: from QEMU to us
        /// bytes: an event that QEMU did not send (Event::synthesised), one whole message
        synthesised,
        lost,   ///< bytes: why
        closed, ///< by our side
        gap,    ///< `missing` bytes were not kept; bytes: why
    };
    Kind kind = Kind::gap;
    std::int64_t us = 0;      ///< CLOCK_MONOTONIC, microseconds: the same clock in every process
    std::int64_t wall_us = 0; ///< since the epoch, microseconds
    std::string bytes;
    std::uint64_t missing = 0;
};

} // namespace kata_vfio::qemu
