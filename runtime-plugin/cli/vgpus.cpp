// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/vgpus.hpp"

#include "runtime-plugin/cli/json_text.hpp"
#include "runtime-plugin/cli/table.hpp"

#include <boost/json.hpp>

#include <sstream>

namespace kata_vfio::cli {
namespace json = boost::json;
namespace {

std::string state_text(mdev::MdevDevice::State state) {
    std::ostringstream text;
    text << state;
    return text.str();
}

std::string node_text(const mdev::MdevDevice& device) {
    return device.node ? device.node->string() : std::string();
}

} // namespace

std::vector<VgpuReport> list_vgpu_reports(const Host& host, OwnerView& owners) {
    std::vector<VgpuReport> reports;
    for (auto& device : mdev::list_devices(host.root)) {
        auto sandbox = owners.of(plugin::mdev_claim(device.uuid.text()), device.iommu_group);
        reports.push_back({std::move(device), std::move(sandbox)});
    }
    return reports;
}

json::object vgpu_json(const VgpuReport& report) {
    const auto& device = report.device;
    return {{"uuid", device.uuid.text()},
            {"type", text_or_null(device.type)},
            {"parent", device.parent},
            {"iommu_group", or_null(device.iommu_group)},
            {"node", text_or_null(node_text(device))},
            {"sysfs", device.sysfs.string()},
            {"state", state_text(device.state)},
            {"sandbox", or_null(report.sandbox)}};
}

json::object vgpus_json(const std::vector<VgpuReport>& reports) {
    json::array rows;
    for (const auto& report : reports)
        rows.push_back(vgpu_json(report));
    return {{"vgpus", std::move(rows)}};
}

std::string vgpus_table(const json::object& listed) {
    Table table({"UUID", "TYPE", "PARENT", "GROUP", "NODE", "STATE", "SANDBOX"});
    for (const auto& each : listed.at("vgpus").as_array()) {
        const auto& vgpu = each.as_object();
        table.row({string_at(vgpu, "uuid"), string_at(vgpu, "type"), string_at(vgpu, "parent"),
                   number_at(vgpu, "iommu_group"), string_at(vgpu, "node"),
                   string_at(vgpu, "state"), string_at(vgpu, "sandbox")});
    }
    return table.str();
}

std::string vgpu_text(const json::object& vgpu) {
    return properties({{"uuid", string_at(vgpu, "uuid")},
                       {"type", string_at(vgpu, "type")},
                       {"parent", string_at(vgpu, "parent")},
                       {"group", number_at(vgpu, "iommu_group")},
                       {"node", string_at(vgpu, "node")}});
}

std::string removed_text(const json::object& removed) {
    return "removed vGPU " + string_at(removed, "uuid") + " from " + string_at(removed, "parent") +
           "\n";
}

} // namespace kata_vfio::cli
