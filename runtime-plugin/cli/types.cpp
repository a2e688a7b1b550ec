// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/types.hpp"

#include "config/base/text.hpp"
#include "runtime-plugin/cli/json_text.hpp"
#include "runtime-plugin/cli/table.hpp"

#include <boost/json.hpp>

namespace kata_vfio::cli {
namespace json = boost::json;
namespace {

json::value gvt_json(const std::optional<mdev::GvtResources>& gvt) {
    if (!gvt)
        return nullptr;
    return json::object{{"low_gm_mb", gvt->low_gm_mb},
                        {"high_gm_mb", gvt->high_gm_mb},
                        {"fence", gvt->fence},
                        {"resolution", gvt->resolution},
                        {"weight", gvt->weight}};
}

} // namespace

std::string resources_text(const json::object& type) {
    if (const auto& gvt = type.at("gvt"); gvt.is_object()) {
        const auto& has = gvt.get_object();
        return number_at(has, "low_gm_mb") + " MB low, " + number_at(has, "high_gm_mb") +
               " MB high, " + number_at(has, "fence") + " fences, " + string_at(has, "resolution") +
               ", weight " + number_at(has, "weight");
    }
    const auto description = string_at(type, "description");
    std::string text;
    for (const auto line : split(trim(description), '\n'))
        if (!trim(line).empty())
            text += (text.empty() ? "" : ", ") + std::string(trim(line));
    return text;
}

json::object types_json(const std::vector<mdev::MdevParent>& parents) {
    json::array rows;
    for (const auto& parent : parents)
        for (const auto& type : parent.types)
            rows.push_back(json::object{{"type", type.id},
                                        {"parent", parent.name},
                                        {"name", or_null(type.name)},
                                        {"available_instances", type.available_instances},
                                        {"description", type.description},
                                        {"gvt", gvt_json(type.gvt)},
                                        {"device_api", type.device_api},
                                        {"numa_node", parent.numa_node}});
    return {{"types", std::move(rows)}};
}

std::string types_table(const json::object& listed) {
    Table table({"TYPE", "PARENT", "AVAILABLE", "NAME", "RESOURCES"});
    for (const auto& each : listed.at("types").as_array()) {
        const auto& type = each.as_object();
        table.row({string_at(type, "type"), string_at(type, "parent"),
                   number_at(type, "available_instances"), string_at(type, "name"),
                   resources_text(type)});
    }
    return table.str();
}

} // namespace kata_vfio::cli
