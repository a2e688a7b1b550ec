// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/step.hpp"

#include "config/base/overloaded.hpp"
#include "runtime-plugin/plugin/sandbox_state.hpp"

#include <boost/json.hpp>

#include <stdexcept>

namespace kata_vfio::plugin {
namespace json = boost::json;
std::string text(const Step& step) {
    return std::visit(
        Overloaded{
            [](const ClaimStep& s) { return "claim " + s.claim; },
            [](const CreateVgpuStep& s) {
                return "create vGPU " + s.uuid + " of type " + s.type + " on " + s.parent;
            },
            [](const BindStep& s) {
                return "bind " + s.record.address.text() + " to vfio-pci (now " +
                       s.record.earlier_driver.value_or("without a driver") + ")";
            },
            [](const PlugStep& s) { return "plug " + s.id + " into pci.0"; },
            [](const EnableFunctionsStep& s) {
                return "enable the virtual functions of " + s.parent;
            },
            [](const ChownNodeStep& s) {
                return "make /dev/vfio/" + std::to_string(s.node.group) + " user " +
                       std::to_string(s.node.to_uid) + "'s for as long as it is attached";
            },
        },
        step);
}

json::object to_json(const Step& step) {
    return std::visit(
        Overloaded{
            [](const ClaimStep& s) {
                return json::object{{"step", "claim"}, {"claim", s.claim}};
            },
            [](const CreateVgpuStep& s) {
                return json::object{{"step", "create_vgpu"},
                                    {"uuid", s.uuid},
                                    {"parent", s.parent},
                                    {"type", s.type}};
            },
            [](const BindStep& s) {
                return json::object{{"step", "bind"}, {"record", to_json(s.record)}};
            },
            [](const PlugStep& s) {
                return json::object{{"step", "plug"}, {"id", s.id}};
            },
            [](const EnableFunctionsStep& s) {
                return json::object{{"step", "enable_functions"}, {"parent", s.parent}};
            },
            [](const ChownNodeStep& s) {
                return json::object{
                    {"step", "chown_node"}, {"node", to_json(s.node)}, {"claim", s.claim}};
            },
        },
        step);
}

Step step_from_json(const json::object& object) {
    const auto text_at = [&](std::string_view key) {
        return std::string(object.at(key).as_string());
    };
    const auto kind = text_at("step");
    if (kind == "claim")
        return ClaimStep{text_at("claim")};
    if (kind == "create_vgpu")
        return CreateVgpuStep{text_at("uuid"), text_at("parent"), text_at("type")};
    if (kind == "bind")
        return BindStep{bind_record_from_json(object.at("record"))};
    if (kind == "plug")
        return PlugStep{text_at("id")};
    if (kind == "enable_functions")
        return EnableFunctionsStep{text_at("parent")};
    if (kind == "chown_node")
        return ChownNodeStep{lent_node_from_json(object.at("node")), text_at("claim")};
    throw std::invalid_argument("unknown step '" + kind + "'");
}

} // namespace kata_vfio::plugin
