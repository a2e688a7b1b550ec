// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "mdev/mdev_device.hpp"
#include "runtime-plugin/cli/host.hpp"

#include <boost/json/object.hpp>

#include <optional>
#include <string>
#include <vector>

namespace kata_vfio::cli {

/// A vGPU, and the sandbox that has claimed it.
struct VgpuReport {
    mdev::MdevDevice device;
    std::optional<std::string> sandbox;
};

std::vector<VgpuReport> list_vgpu_reports(const Host& host, OwnerView& owners);

/// One vGPU as `vgpus` and `create` report it, docs/json.md "vgpu".
boost::json::object vgpu_json(const VgpuReport& report);
/// {"vgpus": [...]}
boost::json::object vgpus_json(const std::vector<VgpuReport>& reports);
/// Of vgpus_json(), vgpu_json(), and what `remove` reports.
std::string vgpus_table(const boost::json::object& listed);
std::string vgpu_text(const boost::json::object& vgpu);
std::string removed_text(const boost::json::object& removed);

} // namespace kata_vfio::cli
