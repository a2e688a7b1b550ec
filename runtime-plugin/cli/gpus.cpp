// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/gpus.hpp"

#include "config/base/text.hpp"
#include "mdev/mdev_type.hpp"
#include "runtime-plugin/cli/json_text.hpp"
#include "runtime-plugin/cli/table.hpp"
#include "vfio/sysfs_read.hpp"
#include "vfio/vfio_node.hpp"

#include <boost/json.hpp>

#include <map>

namespace kata_vfio::cli {
namespace fs = std::filesystem;
namespace json = boost::json;
namespace {

/// Never given to a guest: class 06, or one that is not viable though nothing blocks it.
bool is_bridge(const json::object& function) {
    return string_at(function, "class").starts_with("06") ||
           (!function.at("viable").as_bool() && function.at("blockers").as_array().empty() &&
            !function.at("iommu_group").is_null());
}

std::string viability_cell(const json::object& function) {
    if (is_bridge(function))
        return "";
    if (function.at("iommu_group").is_null())
        return "no: no IOMMU group";
    std::vector<std::string> why;
    for (const auto& blocker : function.at("blockers").as_array())
        why.push_back(string_at(blocker.as_object(), "why"));
    return why.empty() ? "yes" : "no: " + join_words(why);
}

std::string driver_cell(const json::object& function) {
    return function.at("unbind_pending").as_bool() ? "(unbind pending)"
                                                   : string_at(function, "driver");
}

json::object function_json(const FunctionReport& report) {
    const auto& function = report.function;
    return {{"address", function.address.text()},
            {"ids", function.ids()},
            {"vendor", function.ids().substr(0, 4)},
            {"device", function.ids().substr(5)},
            {"class", function.class_text()},
            {"driver", or_null(function.driver)},
            {"driver_override", or_null(function.driver_override)},
            {"unbind_pending", function.unbind_pending},
            {"on_vfio", function.on_vfio},
            {"iommu_group", or_null(function.iommu_group)},
            {"viable", report.viable() && !function.is_bridge()},
            {"blockers", blockers_json(report.blockers)},
            {"node", or_null(report.node)},
            {"boot_vga", function.boot_vga},
            {"mdev_types", report.mdev_types},
            {"numa_node", function.numa_node},
            {"sandbox", or_null(report.sandbox)}};
}

} // namespace

std::optional<std::string> node_of(const vfio::HostRoot& root, const vfio::PciFunction& function) {
    std::error_code ec;
    if (function.iommu_group) {
        const auto node = vfio::group_node(root, *function.iommu_group);
        if (fs::exists(node, ec))
            return root.told(node).string();
    }
    const auto directory = vfio::function_path(root, function.address) / "vfio-dev";
    for (const auto& name : vfio::names_in(directory)) {
        const auto node = root.dev("vfio/devices") / name;
        if (fs::exists(node, ec))
            return root.told(node).string();
    }
    return std::nullopt;
}

std::vector<FunctionReport> list_function_reports(const Host& host, bool all, OwnerView& owners) {
    std::map<std::string, std::size_t> types;
    for (const auto& parent : mdev::list_parents(host.root))
        types[parent.name] = parent.types.size();

    std::vector<FunctionReport> reports;
    for (auto& function : vfio::list_functions(host.root)) {
        if (!all && !function.is_display())
            continue;
        FunctionReport report;
        const auto name = function.address.text();
        if (function.iommu_group)
            report.blockers = vfio::viability_blockers(
                host.root, vfio::read_group(host.root, *function.iommu_group), {function.address});
        if (const auto found = types.find(name); found != types.end())
            report.mdev_types = found->second;
        report.node = node_of(host.root, function);
        report.sandbox = owners.of(plugin::function_claim(name), function.iommu_group);
        report.function = std::move(function);
        reports.push_back(std::move(report));
    }
    return reports;
}

json::array blockers_json(const std::vector<vfio::Blocker>& blockers) {
    json::array rows;
    for (const auto& blocker : blockers)
        rows.push_back(json::object{
            {"member", blocker.member}, {"driver", blocker.driver}, {"why", blocker.why}});
    return rows;
}

json::object functions_json(const std::vector<FunctionReport>& reports) {
    json::array rows;
    for (const auto& report : reports)
        rows.push_back(function_json(report));
    return {{"functions", std::move(rows)}};
}

std::string functions_table(const json::object& listed) {
    Table table({"BDF", "IDS", "CLASS", "DRIVER", "GROUP", "NODE", "BOOT", "VGPU TYPES", "NUMA",
                 "SANDBOX", "VIABLE"});
    for (const auto& each : listed.at("functions").as_array()) {
        const auto& function = each.as_object();
        const auto numa = number_at(function, "numa_node");
        table.row({string_at(function, "address"), string_at(function, "ids"),
                   string_at(function, "class"), driver_cell(function),
                   number_at(function, "iommu_group"), string_at(function, "node"),
                   function.at("boot_vga").as_bool() ? "yes" : "",
                   number_at(function, "mdev_types"), numa.starts_with('-') ? "" : numa,
                   string_at(function, "sandbox"), viability_cell(function)});
    }
    return table.str();
}

} // namespace kata_vfio::cli
