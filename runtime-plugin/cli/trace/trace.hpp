// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "qemu/wire_log/timeline.hpp"
#include "qemu/wire_log/wire_reader.hpp"
#include "runtime-plugin/cli/arguments.hpp"
#include "runtime-plugin/cli/io.hpp"

#include <boost/json/object.hpp>

#include <cstdint>
#include <string>

namespace kata_vfio::cli {

/// A wire log and what is drawn from it.
struct Trace {
    std::string title; ///< the log's path
    qemu::WireHistory history;
    qemu::Timeline timeline;
    std::int64_t slow_us = 100000; ///< as long as this, or longer, stands out

    bool slow(const qemu::Exchange& exchange) const {
        return exchange.latency_us().value_or(0) >= slow_us;
    }
};

/// The history's timeline; with a device, only what concerns it and its connections' ends. Throws
/// Failure(device_not_found) naming the devices there are.
Trace make_trace(std::string title, qemu::WireHistory history, const std::string& device,
                 std::int64_t slow_us);

/// "3 connections, 42 commands (1 refused, 2 slow), 5 events in 12.345 s"
std::string summary(const Trace& trace);

/// For people: summary, devices' lives, then a line per thing that happened.
std::string trace_text(const Trace& trace);
/// For programs (docs/json.md).
boost::json::object trace_json(const Trace& trace);

/// A sandbox's wire log as kata-vfiod reads it (Qmp.Trace). Throws Failure: invalid_argument for a
/// file, which is of this host, and what the daemon told.
qemu::WireHistory ask_wire_log(const Arguments& arguments);

/// kata-vfio trace: prints it or writes the page, and returns the exit status.
int trace(const Arguments& arguments, Io& io);

} // namespace kata_vfio::cli
