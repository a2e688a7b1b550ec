// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"
#include "config/load.hpp"
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
std::optional<Finding> rootless_uids_are_a_range(const Configuration&);
std::optional<Finding> queue_size_is_a_power(const Configuration&);
std::optional<Finding> share_stays_the_share(const Configuration&);

// Those of [vfio.daemon]: for kata-vfiod and `config check`, and no reason to refuse a device.
std::optional<Finding> daemon_socket_is_usable(const Configuration&);
std::optional<Finding> daemon_uids_are_numbers(const Configuration&);
std::optional<Finding> daemon_tcp_is_mutual(const Configuration&);
std::optional<Finding> daemon_metrics_is_an_address(const Configuration&);
std::vector<Finding> validate_daemon(const Configuration&);

/// All rules but the daemon's, in the order above.
std::vector<Finding> validate(const Configuration&);

/// What keeps a file from being loaded, and then the rules that are broken besides: none where a
/// part of the configuration could not be read at all, nor about a value that is told already.
std::vector<Finding> validate(const Inspected&);

/// Throws the first finding as Failure: machine_refused, root_bus_off or config_invalid.
void enforce(const Configuration&);

} // namespace kata_vfio::config
