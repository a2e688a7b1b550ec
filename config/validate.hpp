// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"
#include "config/schema.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::config {

/// One rule broken.
struct Finding {
    Errc code = Errc::config_invalid;
    std::string key; ///< without its table, as a person reads it in the file
    Position at;     ///< of the offending value; without a line when nothing is written
    std::string text;
    std::string remedy;

    /// Failure whose problem is "file:line:col key: text".
    Failure failure() const;
};

/// True for "pc" and the versioned "pc-i440fx-*": the machines whose root bus pci.0 takes
/// hot-plugged devices. q35's pcie.0 refuses them ("Bus 'pcie.0' does not support hotplugging").
bool is_pc_machine(std::string_view machine_type) noexcept;

// The rules, one each; nullopt when it is kept.
std::optional<Finding> machine_type_is_pc(const Configuration&);
std::optional<Finding> accelerators_keep_the_machine(const Configuration&);
std::optional<Finding> root_bus_is_on(const Configuration&);
std::optional<Finding> one_root_filesystem(const Configuration&);
std::optional<Finding> viommu_is_off(const Configuration&);
std::optional<Finding> kernel_params_fit(const Configuration&);
std::optional<Finding> extra_monitor_is_for_debugging(const Configuration&);
std::optional<Finding> state_dir_is_usable(const Configuration&);
std::optional<Finding> resend_is_within_unplug(const Configuration&);
std::optional<Finding> redactions_name_members(const Configuration&);
std::optional<Finding> vgpu_is_whole(const Configuration&);

/// All rules, in the order above.
std::vector<Finding> validate(const Configuration&);

/// Throws the first finding as Failure: machine_refused, root_bus_off or config_invalid.
void enforce(const Configuration&);

} // namespace kata_vfio::config
