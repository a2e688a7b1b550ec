// SPDX-License-Identifier: Apache-2.0
#include "config/base/utf8.hpp"
#include "runtime-plugin/cli/table.hpp"
#include "runtime-plugin/cli/trace/trace.hpp"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <set>

namespace kata_vfio::cli {
namespace {

using Outcome = qemu::Exchange::Outcome;

std::string seconds(std::int64_t us) {
    std::array<char, 40> buffer{};
    std::snprintf(buffer.data(), buffer.size(), "%.6f", static_cast<double>(us) / 1e6);
    return buffer.data();
}

std::string milliseconds_text(std::int64_t us) {
    std::array<char, 40> buffer{};
    std::snprintf(buffer.data(), buffer.size(), "%.3f ms", static_cast<double>(us) / 1e3);
    return buffer.data();
}

std::string wall_clock(std::int64_t us) {
    const std::time_t whole = us / 1000000;
    std::tm parts{};
    std::array<char, 40> buffer{};
    if (us <= 0 || !::gmtime_r(&whole, &parts) ||
        std::strftime(buffer.data(), buffer.size(), "%Y-%m-%d %H:%M:%S", &parts) == 0)
        return {};
    return std::string(buffer.data()) + " UTC";
}

std::string counted(std::size_t number, std::string_view one) {
    return std::to_string(number) + " " + std::string(one) + (number == 1 ? "" : "s");
}

struct Row {
    std::int64_t us;
    std::size_t record; ///< of two at the same time the earlier first
    std::vector<std::string> cells;
};

std::string result(const qemu::Exchange& exchange) {
    switch (exchange.outcome) {
    case Outcome::answered:
        return "";
    case Outcome::refused:
        return ": REFUSED " + exchange.error_class + ": " + exchange.desc;
    case Outcome::unanswered:
        return ": NO ANSWER";
    }
    return "";
}

std::string remark_text(const qemu::Remark& remark) {
    using Kind = qemu::Remark::Kind;
    switch (remark.kind) {
    case Kind::connected:
        return "connected to " + remark.text;
    case Kind::greeted:
        return remark.text;
    case Kind::lost:
        return "LOST: " + remark.text;
    case Kind::closed:
        return "closed";
    case Kind::torn:
        return "TORN " + remark.text;
    case Kind::gap:
        return "GAP: " + remark.text;
    case Kind::silent:
        return "SILENT for " + seconds(remark.until_us.value_or(remark.us) - remark.us) +
               " s: " + remark.text;
    case Kind::stray:
        return "STRAY: " + remark.text;
    }
    return "";
}

std::vector<Row> rows_of(const Trace& trace) {
    const auto& timeline = trace.timeline;
    std::vector<Row> rows;
    const auto add = [&](std::int64_t us, std::size_t record, std::uint64_t connection,
                         std::string latency, const std::string& device, const std::string& what) {
        rows.push_back({us,
                        record,
                        {"+" + seconds(us - timeline.begin_us), std::to_string(connection),
                         std::move(latency), valid_utf8(device), valid_utf8(what)}});
    };
    for (const auto& exchange : timeline.exchanges) {
        const auto latency = exchange.latency_us();
        add(exchange.sent_us, exchange.sent, exchange.connection,
            latency ? milliseconds_text(*latency) + (trace.slow(exchange) ? " SLOW" : "") : "",
            exchange.device,
            exchange.command + (exchange.arguments.empty() ? "" : " ") + exchange.arguments +
                result(exchange));
    }
    for (const auto& event : timeline.events)
        add(event.us, event.record, event.connection, "", event.device,
            "event " + event.name + (event.data.empty() ? "" : " ") + event.data +
                (event.synthesised ? " (synthesised)" : ""));
    for (const auto& remark : timeline.remarks)
        add(remark.us, remark.record.value_or(0), remark.connection, "", "", remark_text(remark));
    std::ranges::sort(rows, [](const Row& left, const Row& right) {
        return std::pair(left.us, left.record) < std::pair(right.us, right.record);
    });
    return rows;
}

std::string life(const qemu::DeviceLane& lane, std::int64_t begin_us) {
    std::string text = "device " + valid_utf8(lane.device) + ":";
    for (const auto& phase : lane.phases)
        text += (text.back() == ':' ? " " : ", ") + std::string(name(phase.state)) + " +" +
                seconds(phase.from_us - begin_us);
    return printable(text) + "\n";
}

} // namespace

std::string summary(const Trace& trace) {
    const auto& timeline = trace.timeline;
    std::set<std::uint64_t> connections;
    for (const auto& record : trace.history.records)
        if (record.connection != 0)
            connections.insert(record.connection);
    std::string marks;
    const auto mark = [&](std::size_t number, const char* what) {
        if (number > 0)
            marks += (marks.empty() ? "" : ", ") + std::to_string(number) + " " + what;
    };
    mark(timeline.refused(), "refused");
    mark(timeline.unanswered(), "unanswered");
    mark(static_cast<std::size_t>(std::ranges::count_if(
             timeline.exchanges, [&](const auto& each) { return trace.slow(each); })),
         "slow");
    return counted(connections.size(), "connection") + ", " +
           counted(timeline.exchanges.size(), "command") +
           (marks.empty() ? "" : " (" + marks + ")") + ", " +
           counted(timeline.events.size(), "event") + " in " +
           seconds(timeline.end_us - timeline.begin_us) + " s";
}

std::string trace_text(const Trace& trace) {
    const auto& records = trace.history.records;
    const auto began = records.empty() ? std::string() : wall_clock(records.front().wall_us);
    std::string text = printable(trace.title) + ": " + summary(trace) +
                       (began.empty() ? "" : " from " + began) + "\n";
    for (const auto& lane : trace.timeline.lanes)
        text += life(lane, trace.timeline.begin_us);
    Table table({"TIME", "CONN", "LATENCY", "DEVICE", "WHAT"});
    for (auto& row : rows_of(trace))
        table.row(std::move(row.cells));
    return table.empty() ? text : text + table.str();
}

} // namespace kata_vfio::cli
