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

std::string viability_cell(const FunctionReport& report) {
    if (report.function.is_bridge())
        return ""; // never given to a guest
    if (!report.function.iommu_group)
        return "no: no IOMMU group";
    std::vector<std::string> why;
    for (const auto& blocker : report.blockers)
        why.push_back(blocker.why);
    return why.empty() ? "yes" : "no: " + join_words(why);
}

std::string driver_cell(const FunctionReport& report) {
    auto text = report.function.driver.value_or("");
    if (report.function.unbind_pending)
        text = "(unbind pending)";
    return text;
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

std::string functions_table(const std::vector<FunctionReport>& reports) {
    Table table({"BDF", "IDS", "CLASS", "DRIVER", "GROUP", "NODE", "BOOT", "VGPU TYPES", "NUMA",
                 "SANDBOX", "VIABLE"});
    for (const auto& report : reports) {
        const auto& function = report.function;
        table.row({function.address.text(), function.ids(), function.class_text(),
                   driver_cell(report), number_text(function.iommu_group), report.node.value_or(""),
                   function.boot_vga ? "yes" : "", std::to_string(report.mdev_types),
                   function.numa_node < 0 ? "" : std::to_string(function.numa_node),
                   report.sandbox.value_or(""), viability_cell(report)});
    }
    return table.str();
}

} // namespace kata_vfio::cli
