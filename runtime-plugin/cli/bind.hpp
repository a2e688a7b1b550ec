// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/cli/host.hpp"
#include "vfio/driver_binding.hpp"
#include "vfio/iommu_group.hpp"

#include <boost/json/object.hpp>

#include <optional>
#include <string>
#include <vector>

namespace kata_vfio::cli {

struct BindReport {
    vfio::BindRecord record;
    std::optional<int> iommu_group;
    std::optional<std::string> node;
    /// Siblings that still keep the group from a guest: a group of two is bound one by one.
    std::vector<vfio::Blocker> blockers;
};

/// Binds a function to vfio-pci, its earlier driver and override on disk before the first write.
/// When the caller has given up meanwhile it is given back: Failure(cancelled). Throws besides what
/// bind_to_vfio() throws; device_in_use for a function of a sandbox.
BindReport bind_function(const Host& host, const std::string& bdf, const GivenUp& given_up);

boost::json::object bind_json(const BindReport& report);
/// Of bind_json().
std::string bind_text(const boost::json::object& bound);

enum class RestoreKind {
    restored,   ///< driver and override as recorded by bind
    unchanged,  ///< nothing to do
    left_alone, ///< somebody else has rebound it; the record was dropped
    reprobed,   ///< no record: override cleared, and the kernel chose the driver
};
std::string_view name(RestoreKind kind) noexcept;

struct RestoreReport {
    vfio::PciAddress address;
    RestoreKind kind = RestoreKind::unchanged;
    std::optional<std::string> driver, driver_override; ///< now
    std::string note;
};

/// Gives a function back: as recorded by bind; without a record, override cleared and the kernel
/// asked to probe. Throws besides what restore_driver() throws; device_in_use for a function of a
/// sandbox; bind_failed when vfio-pci takes it again.
RestoreReport restore_function(const Host& host, const std::string& bdf);

boost::json::object restore_json(const RestoreReport& report);
/// Of restore_json().
std::string restore_text(const boost::json::object& restored);

} // namespace kata_vfio::cli
