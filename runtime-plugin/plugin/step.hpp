// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/plugin/node_rights.hpp"
#include "vfio/driver_binding.hpp"

#include <boost/json/object.hpp>

#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace kata_vfio::plugin {

/// The steps of an attach that change the host or QEMU. Each carries what undoing it takes, and is
/// undone idempotently: rollback in this process and recovery in the next one run the same code on
/// the same record.
struct ClaimStep {
    std::string claim; ///< file name below claims/
};
struct CreateVgpuStep {
    std::string uuid, parent, type;
};
struct BindStep {
    vfio::BindRecord record;
};
struct PlugStep {
    std::string id; ///< qdev id
};
struct EnableFunctionsStep {
    std::string parent; ///< BDF of the physical function
};
struct ChownNodeStep {
    LentNode node;
    std::string claim; ///< of the device it was lent for: while that is ours, so is the node
};
using Step =
    std::variant<ClaimStep, CreateVgpuStep, BindStep, PlugStep, EnableFunctionsStep, ChownNodeStep>;

/// "create vGPU 83b8... of type ... on ...", for progress, plans and logs.
std::string text(const Step&);
/// {"step": "create_vgpu", ...}
boost::json::object to_json(const Step&);
/// Throws what Boost.JSON throws, or std::invalid_argument.
Step step_from_json(const boost::json::object&);

} // namespace kata_vfio::plugin
