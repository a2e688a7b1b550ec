// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vfio/driver_binding.hpp"

#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

namespace kata_vfio::vfio {

/// What sysfs shows of a function, as far as binding cares.
struct BindState {
    std::optional<std::string> driver;
    std::optional<std::string> driver_override;

    bool operator==(const BindState&) const = default;
};

/// "driver i915, no override", for texts about what is left.
std::string text(const BindState& state);

/// One step; no I/O here. driver_binding.cpp executes them, --dry-run prints them.
struct BindStep {
    enum class Kind {
        set_override, ///< `value` into driver_override; "" clears it
        unbind,       ///< from `value`, the driver bound now
        probe,        ///< drivers_probe, after which `value` must be bound
    };
    Kind kind = Kind::probe;
    std::string value;

    bool operator==(const BindStep&) const = default;
};
std::ostream& operator<<(std::ostream& out, const BindStep& step);

/// "write vfio-pci to /sys/bus/pci/devices/0000:00:02.0/driver_override", for people.
std::string text(const BindStep& step, const PciAddress& address);

/// From `now` to `driver` bound by override. Empty when nothing is to be done.
std::vector<BindStep> plan_bind(const BindState& now, const std::string& driver);

/// From `now`, wherever a bind or a restore of `record` was interrupted, back to the earlier state;
/// nullopt when the state is not one of ours (somebody else has rebound it).
std::optional<std::vector<BindStep>> plan_restore(const BindState& now, const BindRecord& record);

/// From `now`, after a failed bind, to `earlier`: a driver that is not the earlier one is taken
/// off.
std::vector<BindStep> plan_undo(const BindState& now, const BindState& earlier);

} // namespace kata_vfio::vfio
