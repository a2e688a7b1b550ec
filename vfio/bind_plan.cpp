// SPDX-License-Identifier: Apache-2.0
#include "vfio/bind_plan.hpp"

#include <ostream>

namespace kata_vfio::vfio {
namespace {

using Kind = BindStep::Kind;

/// Takes `now` to `earlier`: the override names the wanted driver while the probe runs, so that of
/// two drivers that both know the device the right one comes.
std::vector<BindStep> back_to(const BindState& now, const BindState& earlier) {
    std::vector<BindStep> steps;
    auto driver_override = now.driver_override;
    if (now.driver != earlier.driver) {
        if (earlier.driver && driver_override != earlier.driver) {
            steps.push_back({Kind::set_override, *earlier.driver});
            driver_override = earlier.driver;
        }
        if (now.driver)
            steps.push_back({Kind::unbind, *now.driver});
        if (earlier.driver)
            steps.push_back({Kind::probe, *earlier.driver});
    }
    if (driver_override != earlier.driver_override)
        steps.push_back({Kind::set_override, earlier.driver_override.value_or("")});
    return steps;
}

} // namespace

std::string text(const BindState& state) {
    return (state.driver ? "driver " + *state.driver : std::string("no driver")) + ", " +
           (state.driver_override ? "driver_override " + *state.driver_override
                                  : std::string("no driver_override"));
}

std::ostream& operator<<(std::ostream& out, const BindStep& step) {
    switch (step.kind) {
    case Kind::set_override:
        return out << "override '" << step.value << "'";
    case Kind::unbind:
        return out << "unbind " << step.value;
    case Kind::probe:
        return out << "probe " << step.value;
    }
    return out;
}

std::string text(const BindStep& step, const PciAddress& address) {
    const auto function = "/sys/bus/pci/devices/" + address.text();
    switch (step.kind) {
    case Kind::set_override:
        return step.value.empty() ? "clear " + function + "/driver_override"
                                  : "write " + step.value + " to " + function + "/driver_override";
    case Kind::unbind:
        return "write " + address.text() + " to /sys/bus/pci/drivers/" + step.value + "/unbind";
    case Kind::probe:
        return "write " + address.text() + " to /sys/bus/pci/drivers_probe, and see that " +
               step.value + " has bound";
    }
    return {};
}

std::vector<BindStep> plan_bind(const BindState& now, const std::string& driver) {
    std::vector<BindStep> steps;
    if (now.driver == driver)
        return steps;
    if (now.driver_override != driver)
        steps.push_back({Kind::set_override, driver});
    if (now.driver)
        steps.push_back({Kind::unbind, *now.driver});
    steps.push_back({Kind::probe, driver});
    return steps;
}

std::optional<std::vector<BindStep>> plan_restore(const BindState& now, const BindRecord& record) {
    if (!record.changed)
        return std::vector<BindStep>();
    const auto ours = [&](const std::optional<std::string>& value,
                          const std::optional<std::string>& earlier) {
        return value == record.driver || value == earlier;
    };
    // The steps of ours leave the driver at none, ours or the earlier one, and the override at
    // ours, the earlier driver's name or the earlier override. Anything else is somebody else's
    // doing.
    if (now.driver && !ours(now.driver, record.earlier_driver))
        return std::nullopt;
    if (!ours(now.driver_override, record.earlier_override) &&
        !(record.earlier_driver && now.driver_override == record.earlier_driver))
        return std::nullopt;
    return back_to(now, BindState{record.earlier_driver, record.earlier_override});
}

std::vector<BindStep> plan_undo(const BindState& now, const BindState& earlier) {
    return back_to(now, earlier);
}

} // namespace kata_vfio::vfio
