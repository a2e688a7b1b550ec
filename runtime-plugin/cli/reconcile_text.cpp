// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/reconcile_text.hpp"

#include "config/base/errc.hpp"
#include "runtime-plugin/cli/json_text.hpp"
#include "runtime-plugin/cli/table.hpp"

#include <boost/json.hpp>

namespace kata_vfio::cli {
namespace json = boost::json;
namespace {

/// "pid 4711 (qemu-system-x86)"; "" for none.
std::string holder_text(const json::object& finding) {
    const auto* holder = finding.if_contains("holder");
    if (!holder || !holder->is_object())
        return {};
    const auto& who = holder->get_object();
    const auto pid = who.at("pid").as_int64();
    if (pid == 0)
        return "not to be seen from here";
    const auto command = string_at(who, "command");
    return "pid " + std::to_string(pid) + (command.empty() ? "" : " (" + command + ")");
}

std::string sandbox_table(const json::array& sandboxes) {
    Table table({"SANDBOX", "VERDICT", "HOLDER", "WHY"});
    for (const auto& each : sandboxes) {
        const auto& finding = each.as_object();
        table.row({string_at(finding, "sandbox"), string_at(finding, "verdict"),
                   holder_text(finding), string_at(finding, "why")});
    }
    return table.str();
}

std::string device_table(const json::array& devices) {
    Table table({"DEVICE", "OWNER", "STATE", "SANDBOX", "TYPE", "HOLDER", "WHY"});
    for (const auto& each : devices) {
        const auto& finding = each.as_object();
        const auto type = string_at(finding, "type");
        table.row({string_at(finding, "name"), string_at(finding, "owner"),
                   string_at(finding, "state"), string_at(finding, "sandbox"),
                   type.empty() ? string_at(finding, "driver") : type, holder_text(finding),
                   string_at(finding, "why")});
    }
    return table.str();
}

std::string action_lines(const json::array& sandboxes) {
    std::string text;
    for (const auto& each : sandboxes) {
        const auto& finding = each.as_object();
        for (const auto& step : finding.at("actions").as_array()) {
            const auto& action = step.as_object();
            if (string_at(action, "action") != "keep")
                text += printable(string_at(finding, "sandbox")) + ": " +
                        printable(string_at(action, "action")) + " " +
                        printable(string_at(action, "subject")) + " (" +
                        printable(string_at(action, "why")) + ")\n";
        }
        if (const auto* error = finding.if_contains("error"); error && error->is_object())
            text += printable(string_at(finding, "sandbox")) + ": " +
                    printable(string_at(error->get_object(), "message")) + "\n";
    }
    return text;
}

} // namespace

std::string reconcile_text(const json::object& report) {
    const bool dry = report.at("dry_run").as_bool();
    const auto& sandboxes = report.at("sandboxes").as_array();
    const auto& devices = report.at("devices").as_array();
    std::string text = dry ? "nothing was changed; reconcile would come to this:\n" : "";
    if (sandboxes.empty() && devices.empty())
        text += "no sandbox is known, and no vGPU or function on VFIO is on this host\n";
    if (!sandboxes.empty())
        text += sandbox_table(sandboxes);
    if (!devices.empty())
        text += (sandboxes.empty() ? "" : "\n") + device_table(devices);
    auto lines = action_lines(sandboxes);
    for (const auto& each : report.at("claims").as_array()) {
        const auto& claim = each.as_object();
        lines += "claim " + printable(string_at(claim, "claim")) + ": " +
                 printable(string_at(claim, "verdict")) + " (" +
                 printable(string_at(claim, "why")) + ")\n";
    }
    for (const auto& each : report.at("quarantined").as_array()) {
        const auto& moved = each.as_object();
        const auto to = string_at(moved, "to");
        lines += printable(string_at(moved, "file")) +
                 (to.empty() ? " would be put aside: " : " was moved to " + printable(to) + ": ") +
                 printable(string_at(moved, "why")) + "\n";
    }
    return lines.empty() ? text : text + "\n" + lines;
}

int reconcile_status(const json::object& report) {
    if (report.at("dry_run").as_bool())
        return 0;
    int status = 0;
    for (const auto& each : report.at("sandboxes").as_array()) {
        const auto& finding = each.as_object();
        const auto verdict = string_at(finding, "verdict");
        if (const auto* error = finding.if_contains("error");
            error && error->is_object() && verdict != "busy")
            return exit_status(
                static_cast<Errc>(error->get_object().at("status").to_number<int>()));
        if (verdict == "pending")
            status = exit_status(Errc::removal_pending);
    }
    if (status == 0 && !report.at("quarantined").as_array().empty())
        status = exit_status(Errc::state_corrupt);
    return status;
}

} // namespace kata_vfio::cli
