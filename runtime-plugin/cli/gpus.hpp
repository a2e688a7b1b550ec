// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/cli/host.hpp"
#include "vfio/iommu_group.hpp"
#include "vfio/pci_function.hpp"

#include <boost/json/object.hpp>

#include <optional>
#include <string>
#include <vector>

namespace kata_vfio::cli {

/// One PCI function as `gpus` shows it.
struct FunctionReport {
    vfio::PciFunction function;
    std::vector<vfio::Blocker> blockers; ///< of its group, when the function itself is taken
    std::size_t mdev_types = 0;          ///< it offers, as a parent
    std::optional<std::string> node;     ///< /dev/vfio/N, when it exists
    std::optional<std::string> sandbox;  ///< that has it

    bool viable() const { return function.iommu_group && blockers.empty(); }
};

/// Display functions, or every function, by address.
std::vector<FunctionReport> list_function_reports(const Host& host, bool all, OwnerView& owners);

/// {"functions": [...]}, docs/json.md
boost::json::object functions_json(const std::vector<FunctionReport>& reports);
/// Of functions_json().
std::string functions_table(const boost::json::object& listed);

boost::json::array blockers_json(const std::vector<vfio::Blocker>& blockers);

/// "/dev/vfio/N" if it exists, else the function's /dev/vfio/devices/vfioN if that does.
std::optional<std::string> node_of(const vfio::HostRoot& root, const vfio::PciFunction& function);

} // namespace kata_vfio::cli
