// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/json_text.hpp"
#include "runtime-plugin/cli/table.hpp"
#include "runtime-plugin/cli/topology/topology.hpp"

#include "config/base/text.hpp"

#include <boost/json.hpp>

#include <cstdio>

namespace kata_vfio::cli {
namespace json = boost::json;
namespace {

std::string two_digits(const json::value& number) {
    char text[8];
    std::snprintf(text, sizeof text, "%02x",
                  static_cast<unsigned>(number.to_number<std::uint64_t>() & 0xff));
    return text;
}

std::string node_text(const json::object& device) {
    const auto node = string_at(device, "node");
    return node.empty() ? std::string() : ", " + node;
}

std::string group_text(const json::object& device) {
    const auto group = number_at(device, "iommu_group");
    return group.empty() ? "no IOMMU group" : "IOMMU group " + group;
}

/// "    in sandbox s1, slot 05 (0000:00:05.0)"; the claim of one that has no attachment yet.
std::string owner_line(const json::object& device, const std::string& indent) {
    if (const auto& attachment = device.at("attachment"); attachment.is_object())
        return indent + "in sandbox " + printable(string_at(attachment.get_object(), "sandbox")) +
               ", " + place_text(attachment.get_object()) + "\n";
    const auto claimed = string_at(device, "sandbox");
    return claimed.empty() ? std::string()
                           : indent + "claimed by sandbox " + printable(claimed) + "\n";
}

std::string below_parent(const json::object& parent) {
    std::string text, room;
    for (const auto& each : parent.at("types").as_array()) {
        const auto& type = each.as_object();
        room += (room.empty() ? "" : ", ") + printable(string_at(type, "type")) + " " +
                number_at(type, "available_instances");
    }
    if (!room.empty())
        text += "  vGPUs that can be made: " + room + "\n";
    for (const auto& each : parent.at("vgpus").as_array()) {
        const auto& vgpu = each.as_object();
        const auto type = string_at(vgpu, "type");
        const bool present = string_at(vgpu, "state") == "present";
        text += "  vGPU " + printable(string_at(vgpu, "uuid")) +
                (type.empty() ? "" : ", " + printable(type)) + ", " + group_text(vgpu) +
                printable(node_text(vgpu)) + (present ? "" : ", removal pending") + "\n" +
                owner_line(vgpu, "    ");
    }
    return text;
}

std::string function_text(const json::object& function) {
    const auto driver = string_at(function, "driver");
    const auto numa = number_at(function, "numa_node");
    std::string text = printable(string_at(function, "address")) + "  " +
                       printable(string_at(function, "ids")) + ", class " +
                       printable(string_at(function, "class")) + ", " +
                       (driver.empty() ? "no driver" : printable(driver)) +
                       (numa.empty() || numa.starts_with('-') ? "" : ", NUMA node " + numa) + "\n";
    text += "  " + group_text(function) + printable(node_text(function));
    std::vector<std::string> siblings, why;
    for (const auto& sibling : function.at("siblings").as_array())
        siblings.push_back(printable(sibling.as_string()));
    if (!siblings.empty())
        text += ", with " + join_words(siblings);
    for (const auto& blocker : function.at("blockers").as_array())
        why.push_back(printable(string_at(blocker.as_object(), "why")));
    if (!why.empty())
        text += ", blocked: " + join_words(why);
    return text + "\n" + owner_line(function, "  ") + below_parent(function);
}

std::string device_text(const json::object& device) {
    const auto uuid = string_at(device, "uuid");
    const auto type = string_at(device, "mdev_type");
    const auto host = printable(string_at(device, "host_address"));
    return uuid.empty() ? host
                        : "vGPU " + printable(uuid) + (type.empty() ? "" : ", " + printable(type)) +
                              " of " + host;
}

std::string sandbox_text(const json::object& sandbox) {
    const auto bus = string_at(sandbox, "bus");
    std::string text = "sandbox " + printable(string_at(sandbox, "sandbox")) + "  " +
                       printable(string_at(sandbox, "machine")) + "\n";
    bool any = false;
    for (const auto& each : sandbox.at("slots").as_array())
        for (const auto& device : each.as_object().at("devices").as_array()) {
            text += "  " + bus + " slot " + two_digits(each.as_object().at("slot")) + "." +
                    number_at(device.as_object(), "function") + "  " +
                    device_text(device.as_object()) + "\n";
            any = true;
        }
    for (const auto& each : sandbox.at("unplaced").as_array()) {
        text += "  " + place_text(each.as_object()) + "  " + device_text(each.as_object()) + "\n";
        any = true;
    }
    return any ? text : text + "  nothing attached\n";
}

} // namespace

std::string place_text(const json::object& attachment) {
    if (!attachment.at("slot").is_null())
        return "slot " + two_digits(attachment.at("slot")) + " (" +
               printable(string_at(attachment, "guest_address")) + ")";
    return string_at(attachment, "state") == "unplugged" ? "unplugged, not given back yet"
                                                         : "waits for the guest's start";
}

std::string topology_text(const json::object& topology) {
    std::string text;
    for (const auto& function : topology.at("functions").as_array())
        text += function_text(function.as_object());
    for (const auto& each : topology.at("parents").as_array()) {
        const auto& parent = each.as_object();
        text +=
            printable(string_at(parent, "parent")) + "  no PCI function\n" + below_parent(parent);
    }
    if (text.empty())
        text = "no GPU and nothing that makes vGPUs\n";
    const auto& sandboxes = topology.at("sandboxes");
    if (sandboxes.is_array())
        for (const auto& sandbox : sandboxes.get_array())
            text += sandbox_text(sandbox.as_object());
    for (const auto& each : topology.at("unreadable").as_array())
        text += "sandbox " + printable(string_at(each.as_object(), "sandbox")) +
                "  its state can't be read (kata-vfio list)\n";
    return text;
}

} // namespace kata_vfio::cli
