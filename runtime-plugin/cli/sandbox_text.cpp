// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/sandbox_text.hpp"

#include "config/base/text.hpp"
#include "runtime-plugin/cli/json_text.hpp"
#include "runtime-plugin/cli/table.hpp"

#include <boost/json.hpp>

namespace kata_vfio::cli {
namespace json = boost::json;
namespace {

std::string group_at(const json::object& attachment) {
    const auto* group = attachment.if_contains("iommu_group");
    return group && group->is_int64() ? std::to_string(group->get_int64()) : std::string();
}

Table attachment_table(bool with_sandbox) {
    std::vector<std::string> headings{"GUEST ADDRESS", "ID",    "HOST DEVICE", "VGPU UUID",
                                      "TYPE",          "GROUP", "OWNED"};
    if (with_sandbox)
        headings.insert(headings.begin(), {"SANDBOX", "MACHINE"});
    return Table(std::move(headings));
}

std::vector<std::string> attachment_cells(const json::object& attachment) {
    const auto* owned = attachment.if_contains("owned");
    const auto* unplugged = attachment.if_contains("unplugged");
    const bool gone = unplugged && unplugged->is_bool() && unplugged->get_bool();
    const auto* prepared = attachment.if_contains("prepared");
    const bool waits = prepared && prepared->is_bool() && prepared->get_bool();
    return {gone    ? "(unplugged)"
            : waits ? "(waits)"
                    : string_at(attachment, "guest_address"),
            string_at(attachment, "id"),
            string_at(attachment, "host_address"),
            string_at(attachment, "uuid"),
            string_at(attachment, "mdev_type"),
            group_at(attachment),
            owned && owned->is_bool() && owned->get_bool() ? "yes" : "no"};
}

std::string table_of(const json::value& attachments) {
    auto table = attachment_table(false);
    for (const auto& each : attachments.as_array())
        table.row(attachment_cells(each.as_object()));
    return table.str();
}

/// One line per device given back: "0000:00:02.0 (guest 0000:00:05.0)".
std::string detached_lines(const json::value& attachments) {
    std::string text;
    for (const auto& each : attachments.as_array()) {
        const auto& attachment = each.as_object();
        const auto uuid = string_at(attachment, "uuid");
        text += "detached " +
                printable(uuid.empty() ? string_at(attachment, "host_address") : "vGPU " + uuid) +
                " from guest address " + printable(string_at(attachment, "guest_address")) + "\n";
    }
    return text;
}

/// "" when the sandbox is not tainted.
std::string tainted_line(const json::object& sandbox) {
    std::vector<std::string> commands;
    if (const auto* tainted = sandbox.if_contains("tainted"); tainted && tainted->is_array())
        for (const auto& command : tainted->get_array())
            if (command.is_string())
                commands.push_back(printable(command.get_string()));
    if (commands.empty())
        return {};
    return "sandbox " + printable(string_at(sandbox, "sandbox")) +
           " is tainted: its QMP proxy has passed " + join_words(commands) + "\n";
}

} // namespace

json::object with_first_attachment(json::object attached) {
    json::value uuid, guest_address;
    if (const auto* all = attached.if_contains("attachments"); all && all->is_array())
        if (!all->get_array().empty()) {
            const auto& first = all->get_array().front().as_object();
            uuid = text_or_null(string_at(first, "uuid"));
            guest_address = text_or_null(string_at(first, "guest_address"));
        }
    attached["uuid"] = std::move(uuid);
    attached["guest_address"] = std::move(guest_address);
    return attached;
}

json::object with_earlier(json::object sandbox, const std::optional<json::object>& listed) {
    sandbox["opened_before"] = listed.has_value();
    sandbox["qmp_socket_before"] =
        listed ? listed->at("sandboxes").as_array().at(0).at("qmp_socket") : json::value(nullptr);
    return sandbox;
}

std::string open_note(const json::object& sandbox) {
    if (!sandbox.at("opened_before").as_bool())
        return {};
    const auto before = string_at(sandbox, "qmp_socket_before");
    return "sandbox " + printable(string_at(sandbox, "sandbox")) + " was open already, with " +
           (before == string_at(sandbox, "qmp_socket")
                ? "the same QMP socket"
                : "another QMP socket: " + printable(before));
}

std::string open_text(const json::object& sandbox) {
    return properties(
        {{"sandbox", string_at(sandbox, "sandbox")},
         {"machine", string_at(sandbox, "machine")},
         {"qmp socket", string_at(sandbox, "qmp_socket")},
         {"attachments", std::to_string(sandbox.at("attachments").as_array().size())}});
}

std::string attach_text(const json::object& attached) {
    return table_of(attached.at("attachments"));
}

std::string dry_run_text(const json::object& plan) {
    std::string text = "sandbox " + printable(string_at(plan, "sandbox")) +
                       ": nothing was changed; attach would\n";
    std::size_t number = 0;
    for (const auto& each : plan.at("steps").as_array()) {
        const auto& step = each.as_object();
        text += "  " + std::to_string(++number) + ". " + printable(string_at(step, "text")) + "\n";
        for (const auto* key : {"qmp_before", "qmp"})
            if (const auto* qmp = step.if_contains(key))
                text += "     " + json::serialize(*qmp) + "\n";
    }
    return text;
}

std::string detach_text(const json::object& detached) {
    return detached_lines(detached.at("detached"));
}

std::string release_text(const json::object& released) {
    return detached_lines(released.at("detached")) + "released sandbox " +
           printable(string_at(released, "sandbox")) + "\n";
}

std::string list_text(const json::object& listed) {
    auto table = attachment_table(true);
    std::string taints;
    for (const auto& each : listed.at("sandboxes").as_array()) {
        const auto& sandbox = each.as_object();
        const std::vector<std::string> head{string_at(sandbox, "sandbox"),
                                            string_at(sandbox, "machine")};
        const auto& attachments = sandbox.at("attachments").as_array();
        if (attachments.empty())
            table.row({head[0], head[1], "", "", "", "", "", "", ""});
        for (const auto& attachment : attachments) {
            auto cells = attachment_cells(attachment.as_object());
            cells.insert(cells.begin(), head.begin(), head.end());
            table.row(std::move(cells));
        }
        taints += tainted_line(sandbox);
    }
    return table.str() + taints;
}

} // namespace kata_vfio::cli
