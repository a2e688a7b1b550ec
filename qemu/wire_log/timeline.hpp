// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "qemu/wire_log/device_lane.hpp"
#include "qemu/wire_log/wire_record.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace kata_vfio::qemu {

/// A command and what came of it. Indexes are into the records the timeline was made of; times are
/// CLOCK_MONOTONIC in microseconds.
struct Exchange {
    enum class Outcome {
        answered,
        refused,    ///< QEMU's error reply
        unanswered, ///< the connection, or the log behind it, ended without a reply
    };
    std::uint64_t connection = 0;
    std::string command;
    std::string arguments; ///< for one line: "driver=vfio-pci id=gpu0", "" when it has none
    std::string device;    ///< the device it concerns, "" for none
    std::int64_t sent_us = 0;
    std::optional<std::int64_t> answered_us;
    Outcome outcome = Outcome::unanswered;
    std::string error_class, desc; ///< of a refusal
    std::size_t sent = 0;
    std::optional<std::size_t> reply;
    std::vector<std::size_t> events; ///< into Timeline::events: came between command and reply

    std::optional<std::int64_t> latency_us() const {
        return answered_us ? std::optional(*answered_us - sent_us) : std::nullopt;
    }
};

struct TimelineEvent {
    std::uint64_t connection = 0;
    std::int64_t us = 0;
    std::string name;
    std::string device; ///< "" when it concerns none
    std::string data;   ///< for one line, as Exchange::arguments
    std::size_t record = 0;
    bool synthesised = false; ///< QEMU did not send it, see Monitor
};

/// Something that is no exchange and no event, worth a line all the same.
struct Remark {
    enum class Kind {
        connected,
        greeted, ///< text: QEMU's version
        lost,    ///< text: why
        closed,
        torn,   ///< text: the beginning of the message
        gap,    ///< text: what the log has not
        silent, ///< commands were out and nothing came for a while: until_us is its end
        stray,  ///< what answers nothing, or is no message; text says it
    };
    Kind kind = Kind::stray;
    std::uint64_t connection = 0;
    std::int64_t us = 0;
    std::optional<std::int64_t> until_us;
    std::string text;
    std::optional<std::size_t> record;
};
std::string_view name(Remark::Kind kind) noexcept;

struct TimelineOptions {
    /// As long as this without a byte while a command is out is a remark.
    std::int64_t silent_us = 1000000;
};

struct Timeline {
    std::vector<Exchange> exchanges; ///< by time sent
    std::vector<TimelineEvent> events;
    std::vector<Remark> remarks; ///< by time
    std::vector<DeviceLane> lanes;
    std::int64_t begin_us = 0, end_us = 0; ///< of the first and last record

    std::size_t refused() const;
    std::size_t unanswered() const;
};

/// Pure; takes any records, also those of a log with lines missing.
Timeline make_timeline(const std::vector<WireRecord>& records, const TimelineOptions& options = {});

} // namespace kata_vfio::qemu
