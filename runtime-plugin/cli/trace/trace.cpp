// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/trace/trace.hpp"

#include "config/base/failure.hpp"
#include "config/base/text.hpp"
#include "config/base/utf8.hpp"
#include "runtime-plugin/cli/host.hpp"
#include "runtime-plugin/cli/named_file.hpp"
#include "runtime-plugin/cli/table.hpp"
#include "runtime-plugin/cli/trace/trace_page.hpp"
#include "runtime-plugin/plugin/qmp_log.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <map>

namespace kata_vfio::cli {
namespace fs = std::filesystem;
namespace json = boost::json;
namespace {

struct Log {
    fs::path path;
    std::string absent; ///< what to do when there is none
};

/// ID or FILE: what has a slash in it is a file, then a sandbox that is known, then a file.
Log find_log(const Arguments& arguments) {
    const auto& subject = arguments.subject;
    if (subject.find('/') != std::string::npos)
        return {subject, "name a file that is there, or a sandbox: kata-vfio list shows them"};
    const auto host = open_host(arguments);
    const auto ids = host.state.sandbox_ids();
    if (std::ranges::find(ids, subject) != ids.end())
        return {plugin::qmp_log_path(host.state, subject),
                "set qmp_log = true in [vfio] of configuration.toml; what then goes over the "
                "sandbox's QMP connection is recorded"};
    std::error_code error;
    if (fs::exists(subject, error))
        return {subject, "name a wire.log, or a sandbox: kata-vfio list shows them"};
    Failure failure(Errc::sandbox_not_found,
                    quoted(subject) + " is neither a sandbox known here nor a file");
    const auto meant = nearest(subject, ids);
    throw failure.remedy(meant.empty() ? "kata-vfio list shows the sandboxes; a released one's log "
                                         "went with it"
                                       : "did you mean " + meant + "?");
}

qemu::WireHistory checked(qemu::WireHistory history, const std::string& log) {
    if (history.records.empty() && history.bad_lines > 0)
        throw Failure(Errc::host_io, log + " is no QMP log: not one line of it can be read")
            .remedy("name a wire.log, or a sandbox: kata-vfio list shows them");
    return history;
}

qemu::WireHistory read_log(const Log& log) {
    try {
        return checked(qemu::read_wire_log(log.path), log.path.string());
    } catch (Failure& failure) {
        if (failure.code() != Errc::host_io || !failure.advice().empty())
            throw;
        throw failure.remedy(log.absent);
    }
}

Trace read_trace(const Arguments& arguments) {
    const auto slow_us = arguments.slow_ms * 1000;
    if (!arguments.daemon.empty()) {
        const auto title = "sandbox " + arguments.subject;
        return make_trace(title, checked(ask_wire_log(arguments), title), arguments.device,
                          slow_us);
    }
    const auto log = find_log(arguments);
    return make_trace(log.path.string(), read_log(log), arguments.device, slow_us);
}

/// Takes out what does not concern the device; the indexes of events follow.
void keep_device(qemu::Timeline& timeline, const std::string& device) {
    std::map<std::size_t, std::size_t> moved;
    std::vector<qemu::TimelineEvent> events;
    for (std::size_t i = 0; i < timeline.events.size(); ++i)
        if (timeline.events[i].device == device) {
            moved.emplace(i, events.size());
            events.push_back(std::move(timeline.events[i]));
        }
    timeline.events = std::move(events);
    std::erase_if(timeline.exchanges, [&](const auto& each) { return each.device != device; });
    for (auto& exchange : timeline.exchanges) {
        std::vector<std::size_t> kept;
        for (const auto index : exchange.events)
            if (const auto found = moved.find(index); found != moved.end())
                kept.push_back(found->second);
        exchange.events = std::move(kept);
    }
    std::erase_if(timeline.lanes, [&](const auto& each) { return each.device != device; });
}

} // namespace

Trace make_trace(std::string title, qemu::WireHistory history, const std::string& device,
                 std::int64_t slow_us) {
    Trace trace{valid_utf8(title), std::move(history), {}, slow_us};
    trace.timeline = qemu::make_timeline(trace.history.records);
    if (device.empty())
        return trace;
    auto& timeline = trace.timeline;
    const bool named =
        std::ranges::any_of(timeline.lanes,
                            [&](const auto& each) { return each.device == device; }) ||
        std::ranges::any_of(timeline.events,
                            [&](const auto& each) { return each.device == device; }) ||
        std::ranges::any_of(timeline.exchanges,
                            [&](const auto& each) { return each.device == device; });
    if (!named) {
        std::vector<std::string> there;
        for (const auto& lane : timeline.lanes)
            there.push_back(quoted(lane.device));
        throw Failure(Errc::device_not_found,
                      "nothing in " + trace.title + " concerns a device " + quoted(device))
            .remedy(there.empty() ? "the log has no device at all"
                                  : "the devices in it are " + join_words(there));
    }
    keep_device(timeline, device);
    return trace;
}

int trace(const Arguments& arguments, Io& io) {
    const auto made = read_trace(arguments);
    const auto& history = made.history;
    for (const auto& problem : history.problems)
        io.err << "kata-vfio: " << printable(problem) << '\n';
    if (history.bad_lines > history.problems.size())
        io.err << "kata-vfio: and " << history.bad_lines - history.problems.size()
               << " more lines that can't be read\n";
    if (arguments.html.empty()) {
        io.out << (arguments.json ? json::serialize(trace_json(made)) + "\n" : trace_text(made));
        return 0;
    }
    const auto page = trace_page(made);
    write_named_file("--html", arguments.html, page, 0600);
    if (arguments.json)
        io.out << json::serialize(json::object{{"html", arguments.html}, {"bytes", page.size()}})
               << '\n';
    else
        io.out << "wrote " << printable(arguments.html) << ": " << summary(made) << '\n';
    return 0;
}

} // namespace kata_vfio::cli
