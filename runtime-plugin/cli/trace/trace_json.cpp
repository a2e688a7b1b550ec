// SPDX-License-Identifier: Apache-2.0
#include "config/base/utf8.hpp"
#include "runtime-plugin/cli/json_text.hpp"
#include "runtime-plugin/cli/trace/trace.hpp"

#include <boost/json.hpp>

namespace kata_vfio::cli {
namespace json = boost::json;
namespace {

using Outcome = qemu::Exchange::Outcome;

std::string_view name(Outcome outcome) {
    return outcome == Outcome::answered  ? "answered"
           : outcome == Outcome::refused ? "refused"
                                         : "unanswered";
}

json::value where(const Trace& trace, std::optional<std::size_t> record) {
    return record ? json::value(trace.history.records[*record].at()) : json::value(nullptr);
}

json::object exchange_json(const Trace& trace, const qemu::Exchange& exchange) {
    const auto& records = trace.history.records;
    return {{"us", exchange.sent_us - trace.timeline.begin_us},
            {"connection", exchange.connection},
            {"command", valid_utf8(exchange.command)},
            {"device", text_or_null(valid_utf8(exchange.device))},
            {"latency_us", or_null(exchange.latency_us())},
            {"slow", trace.slow(exchange)},
            {"outcome", name(exchange.outcome)},
            {"error_class", text_or_null(exchange.error_class)},
            {"desc", text_or_null(exchange.desc)},
            {"events", json::value_from(exchange.events)},
            {"sent", records[exchange.sent].message},
            {"received", exchange.reply ? records[*exchange.reply].message : json::value(nullptr)},
            {"sent_at", where(trace, exchange.sent)},
            {"received_at", where(trace, exchange.reply)}};
}

json::object event_json(const Trace& trace, const qemu::TimelineEvent& event) {
    return {{"us", event.us - trace.timeline.begin_us},
            {"connection", event.connection},
            {"event", valid_utf8(event.name)},
            {"device", text_or_null(valid_utf8(event.device))},
            {"synthesised", event.synthesised},
            {"received", trace.history.records[event.record].message},
            {"received_at", where(trace, event.record)}};
}

json::object remark_json(const Trace& trace, const qemu::Remark& remark) {
    const auto begin = trace.timeline.begin_us;
    return {{"us", remark.us - begin},
            {"until_us", remark.until_us ? json::value(*remark.until_us - begin) : nullptr},
            {"connection", remark.connection},
            {"kind", qemu::name(remark.kind)},
            {"text", valid_utf8(remark.text)},
            {"at", where(trace, remark.record)}};
}

json::object lane_json(const Trace& trace, const qemu::DeviceLane& lane) {
    const auto begin = trace.timeline.begin_us;
    json::array phases;
    for (const auto& phase : lane.phases)
        phases.push_back(
            {{"state", qemu::name(phase.state)},
             {"from_us", phase.from_us - begin},
             {"to_us", phase.to_us ? json::value(*phase.to_us - begin) : json::value(nullptr)},
             {"cause", valid_utf8(phase.cause)}});
    return {{"device", valid_utf8(lane.device)}, {"phases", std::move(phases)}};
}

template <class T>
json::array array_of(const Trace& trace, const std::vector<T>& all,
                     json::object (*one)(const Trace&, const T&)) {
    json::array out;
    for (const auto& each : all)
        out.push_back(one(trace, each));
    return out;
}

} // namespace

json::object trace_json(const Trace& trace) {
    const auto& timeline = trace.timeline;
    const auto& history = trace.history;
    return {{"log", trace.title},
            {"files", json::value_from(history.files)},
            {"problems", json::value_from(history.problems)},
            {"bad_lines", history.bad_lines},
            {"begin_wall_us",
             history.records.empty() ? json::value(nullptr) : history.records.front().wall_us},
            {"end_us", timeline.end_us - timeline.begin_us},
            {"exchanges", array_of(trace, timeline.exchanges, exchange_json)},
            {"events", array_of(trace, timeline.events, event_json)},
            {"remarks", array_of(trace, timeline.remarks, remark_json)},
            {"devices", array_of(trace, timeline.lanes, lane_json)}};
}

} // namespace kata_vfio::cli
