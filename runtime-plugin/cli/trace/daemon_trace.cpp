// SPDX-License-Identifier: Apache-2.0
#include "config/base/failure.hpp"
#include "qemu/qmp/frame.hpp"
#include "runtime-plugin/cli/daemon_connection.hpp"
#include "runtime-plugin/cli/json_text.hpp"
#include "runtime-plugin/cli/trace/trace.hpp"

#include <boost/json.hpp>

#include <utility>

namespace kata_vfio::cli {
namespace json = boost::json;
namespace {

using Kind = qemu::WireRecord::Kind;

template <class Number>
Number number(const json::object& object, const char* key) {
    return object.at(key).to_number<Number>();
}

qemu::WireRecord record_of(const json::object& object) {
    qemu::WireRecord record;
    record.name = string_at(object, "kind");
    record.kind = qemu::wire_kind(record.name); // TraceRecord.Kind has the log's words
    record.us = number<std::int64_t>(object, "monotonic_us");
    record.wall_us = number<std::int64_t>(object, "time_us");
    record.connection = number<std::uint64_t>(object, "connection");
    record.bytes = number<std::uint64_t>(object, "bytes");
    record.received = record.kind == Kind::received || flag_at(object, "received");
    record.text = string_at(object, "text");
    record.why = string_at(object, "why");
    json::parse_options options;
    options.max_depth = qemu::FrameLimits().max_depth + 1;
    json::error_code error;
    record.message = json::parse(record.text, error, {}, options);
    record.is_json = !error;
    return record;
}

} // namespace

qemu::WireHistory ask_wire_log(const Arguments& arguments) {
    if (arguments.subject.find('/') != std::string::npos)
        throw Failure(Errc::invalid_argument, "a wire log by its path is a file of this host's")
            .remedy("leave --daemon out, or name a sandbox of the daemon's");
    DaemonConnection daemon(arguments);
    qemu::WireHistory history;
    std::size_t number = 0;
    daemon.stream("Qmp/Trace", {{"sandbox", arguments.subject}}, [&](const json::object& object) {
        ++number;
        if (string_at(object, "kind") == "unreadable") {
            if (history.problems.size() < qemu::most_wire_problems)
                history.problems.push_back("record " + std::to_string(number) + ": " +
                                           string_at(object, "why"));
            ++history.bad_lines;
            return;
        }
        auto record = record_of(object);
        record.file = "record";
        record.line = number;
        history.records.push_back(std::move(record));
    });
    return history;
}

} // namespace kata_vfio::cli
