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

std::string resources_text(const mdev::MdevType& type) {
    if (const auto& gvt = type.gvt)
        return std::to_string(gvt->low_gm_mb) + " MB low, " + std::to_string(gvt->high_gm_mb) +
               " MB high, " + std::to_string(gvt->fence) + " fences, " + gvt->resolution +
               ", weight " + std::to_string(gvt->weight);
    std::string text;
    for (const auto line : split(trim(type.description), '\n'))
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

std::string types_table(const std::vector<mdev::MdevParent>& parents) {
    Table table({"TYPE", "PARENT", "AVAILABLE", "NAME", "RESOURCES"});
    for (const auto& parent : parents)
        for (const auto& type : parent.types)
            table.row({type.id, parent.name, std::to_string(type.available_instances),
                       type.name.value_or(""), resources_text(type)});
    return table.str();
}

} // namespace kata_vfio::cli
