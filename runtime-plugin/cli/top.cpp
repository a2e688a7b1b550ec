// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/top.hpp"

#include "config/base/failure.hpp"
#include "mdev/mdev_type.hpp"
#include "qemu/wire_log/wire_reader.hpp"
#include "runtime-plugin/cli/daemon_client.hpp"
#include "runtime-plugin/cli/host.hpp"
#include "runtime-plugin/cli/json_text.hpp"
#include "runtime-plugin/cli/sandbox_text.hpp"
#include "runtime-plugin/cli/sandbox_verbs.hpp"
#include "runtime-plugin/cli/signals.hpp"
#include "runtime-plugin/cli/table.hpp"
#include "runtime-plugin/cli/types.hpp"
#include "runtime-plugin/plugin/qmp_log.hpp"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>

namespace kata_vfio::cli {
namespace json = boost::json;
namespace {

constexpr std::size_t looked_at = 100; ///< commands

double milliseconds(std::int64_t us) {
    return static_cast<double>(us) / 1000.0;
}

std::string now_utc() {
    const auto now = std::time(nullptr);
    std::tm parts{};
    ::gmtime_r(&now, &parts);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text;
}

/// From the sandbox's wire log. Without one (qmp_log is off, or it is not ours to read) there is
/// nothing to tell, which is no failure of a look at all sandboxes.
json::value recorded_latency(const Host& host, const std::string& id) {
    try {
        const auto history = qemu::read_wire_log(plugin::qmp_log_path(host.state, id));
        return qmp_latency(qemu::make_timeline(history.records));
    } catch (const Failure&) {
        return nullptr;
    }
}

/// One round trip through daemon, plugin and QEMU, by a command that changes nothing.
json::value asked_latency(DaemonClient& client, const std::string& id) {
    const auto began = std::chrono::steady_clock::now();
    json::object answer;
    try {
        answer = client.call("top", "Qmp/Execute", {{"sandbox", id}, {"command", "query-status"}},
                             false);
    } catch (const Failure& failure) {
        if (failure.code() == Errc::cancelled)
            throw;
        return nullptr; // qmp_proxy is off, or QEMU away
    }
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(
        std::chrono::steady_clock::now() - began);
    const auto ms = milliseconds(took.count());
    return json::object{{"commands", 1}, {"last_ms", ms}, {"median_ms", ms}, {"max_ms", ms}};
}

/// How many devices there are, and how many of them somebody still holds.
void count(json::object& look) {
    std::int64_t devices = 0, pending = 0;
    for (const auto& sandbox : look.at("sandboxes").as_array())
        for (const auto& attachment : sandbox.at("attachments").as_array()) {
            ++devices;
            const auto* held = attachment.as_object().if_contains("pending");
            pending += held && !held->is_null();
        }
    look["devices"] = devices;
    look["pending"] = pending;
}

json::object look_at(const Arguments& arguments, Io& io) {
    json::object look{{"time", now_utc()}};
    Arguments all = arguments;
    all.sandbox.clear();
    json::object listed;
    if (!arguments.daemon.empty()) {
        DaemonClient client(arguments, io);
        listed = client.call("top", "Sandboxes/List", {}, false);
        for (auto& sandbox : listed.at("sandboxes").as_array())
            sandbox.as_object()["qmp"] =
                asked_latency(client, string_at(sandbox.as_object(), "sandbox"));
        look["types"] =
            client.call("top", "Host/ListVgpuTypes", {{"parent", ""}}, false).at("types");
    } else {
        const auto host = open_host(arguments);
        listed = list(all, io);
        for (auto& sandbox : listed.at("sandboxes").as_array())
            sandbox.as_object()["qmp"] =
                recorded_latency(host, string_at(sandbox.as_object(), "sandbox"));
        look["types"] = types_json(mdev::list_parents(host.root)).at("types");
    }
    look["sandboxes"] = listed.at("sandboxes");
    look["unreadable"] = listed.at("unreadable");
    count(look);
    return look;
}

std::string ms_text(const json::object& qmp, std::string_view key) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f", qmp.at(key).to_number<double>());
    return text;
}

std::string qmp_table(const json::array& sandboxes) {
    Table table({"SANDBOX", "COMMANDS", "LAST ms", "MEDIAN ms", "MAX ms"});
    for (const auto& each : sandboxes)
        if (const auto& sandbox = each.as_object(); sandbox.at("qmp").is_object()) {
            const auto& qmp = sandbox.at("qmp").get_object();
            table.row({string_at(sandbox, "sandbox"), number_at(qmp, "commands"),
                       ms_text(qmp, "last_ms"), ms_text(qmp, "median_ms"), ms_text(qmp, "max_ms")});
        }
    return table.str();
}

/// Waits for the next look. False when a signal has come: the end.
bool pause(HeldSignals& signals, std::int64_t seconds) {
    pollfd fds{signals.fd(), POLLIN, 0};
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    for (;;) {
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
        if (left.count() <= 0)
            return true;
        if (::poll(&fds, 1, static_cast<int>(left.count())) > 0 && signals.take())
            return false;
    }
}

} // namespace

json::value qmp_latency(const qemu::Timeline& timeline) {
    std::vector<std::int64_t> times;
    for (auto it = timeline.exchanges.rbegin();
         it != timeline.exchanges.rend() && times.size() < looked_at; ++it)
        if (const auto took = it->latency_us())
            times.push_back(*took);
    if (times.empty())
        return nullptr;
    const auto last = times.front();
    std::sort(times.begin(), times.end());
    return json::object{{"commands", times.size()},
                        {"last_ms", milliseconds(last)},
                        {"median_ms", milliseconds(times[(times.size() - 1) / 2])},
                        {"max_ms", milliseconds(times.back())}};
}

std::string top_text(const json::object& look) {
    const auto& sandboxes = look.at("sandboxes").as_array();
    const auto count_of = [](std::size_t n, const std::string& what) {
        return std::to_string(n) + " " + what + (n == 1 ? "" : what.back() == 'x' ? "es" : "s");
    };
    std::string text = "kata-vfio top  " + string_at(look, "time") + "  " +
                       count_of(sandboxes.size(), "sandbox") + ", " +
                       count_of(look.at("devices").to_number<std::size_t>(), "device") + ", " +
                       number_at(look, "pending") + " pending\n";
    for (const auto& each : look.at("unreadable").as_array())
        text += "unreadable: " + printable(string_at(each.as_object(), "sandbox")) + "\n";
    text += "\n" + list_text(look);
    text += "\nQMP\n" + qmp_table(sandboxes);
    Table capacity({"TYPE", "PARENT", "AVAILABLE"});
    for (const auto& each : look.at("types").as_array()) {
        const auto& type = each.as_object();
        capacity.row({string_at(type, "type"), string_at(type, "parent"),
                      number_at(type, "available_instances")});
    }
    return text + "\nCapacity\n" + capacity.str();
}

int top(const Arguments& arguments, Io& io) {
    const auto looks = arguments.once ? 1 : arguments.count;
    for (std::int64_t done = 0;;) {
        const auto look = look_at(arguments, io);
        if (arguments.json)
            io.out << json::serialize(look) << '\n';
        else // home, and clear what is below: no flicker, and the scrollback stays
            io.out << (io.colour && !arguments.once ? "\x1b[H\x1b[J"
                       : done                       ? "\n"
                                                    : "")
                   << top_text(look);
        io.out.flush();
        if (++done == looks || !io.out)
            return 0;
        HeldSignals signals; // no longer than here: each look's calls hold them themselves
        if (!pause(signals, arguments.interval))
            return 0; // Ctrl-C is how it ends
    }
}

} // namespace kata_vfio::cli
