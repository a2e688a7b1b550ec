// SPDX-License-Identifier: Apache-2.0
#include "qemu/wire_log/device_lane.hpp"

#include <algorithm>
#include <ostream>

namespace kata_vfio::qemu {
namespace {

std::string_view text_at(const boost::json::object& object, std::string_view key) {
    const auto* value = object.if_contains(key);
    const auto* text = value ? value->if_string() : nullptr;
    return text ? std::string_view(*text) : std::string_view();
}

} // namespace

std::string_view name(LaneState state) noexcept {
    switch (state) {
    case LaneState::plugging:
        return "plugging";
    case LaneState::present:
        return "present";
    case LaneState::unplug_pending:
        return "unplug pending";
    case LaneState::gone:
        return "gone";
    }
    return "";
}

std::ostream& operator<<(std::ostream& out, LaneState state) {
    return out << name(state);
}

std::string event_device(const boost::json::object& data) {
    if (const auto device = text_at(data, "device"); !device.empty())
        return std::string(device);
    constexpr std::string_view peripheral = "/machine/peripheral/";
    const auto path = text_at(data, "path");
    if (!path.starts_with(peripheral))
        return {};
    const auto id = path.substr(peripheral.size());
    return id.find('/') == id.npos ? std::string(id) : std::string();
}

DeviceLane& DeviceLanes::lane(const std::string& device) {
    const auto [found, fresh] = index_.emplace(device, lanes_.size());
    if (fresh)
        lanes_.push_back({device, {}});
    return lanes_[found->second];
}

std::optional<LaneState> DeviceLanes::state(const std::string& device) const {
    const auto found = index_.find(device);
    if (found == index_.end() || lanes_[found->second].phases.empty())
        return std::nullopt;
    return lanes_[found->second].phases.back().state;
}

void DeviceLanes::enter(const std::string& device, LaneState state, std::int64_t us,
                        std::string cause) {
    auto& phases = lane(device).phases;
    if (!phases.empty()) {
        if (phases.back().state == state)
            return;
        phases.back().to_us = us;
    }
    phases.push_back({state, us, std::nullopt, std::move(cause)});
}

void DeviceLanes::device_add_sent(const std::string& device, std::int64_t us) {
    before_[device] = state(device);
    enter(device, LaneState::plugging, us, "device_add");
}

void DeviceLanes::device_add_answered(const std::string& device, std::int64_t us) {
    if (state(device) == LaneState::plugging)
        enter(device, LaneState::present, us, "device_add answered");
}

void DeviceLanes::device_add_refused(const std::string& device, std::int64_t us,
                                     const std::string& desc) {
    // "Duplicate device ID": the one that was there is there still.
    enter(device, before_[device].value_or(LaneState::gone), us, "device_add refused: " + desc);
}

void DeviceLanes::device_del_sent(const std::string& device, std::int64_t us) {
    const auto now = state(device);
    before_[device] = now.value_or(LaneState::present);
    if (!now)
        enter(device, LaneState::present, us, "plugged before this log began");
    // Into a life that has ended only the answer can breathe new doubt.
    if (now != LaneState::gone)
        enter(device, LaneState::unplug_pending, us, "device_del");
}

void DeviceLanes::device_del_refused(const std::string& device, std::int64_t us,
                                     std::string_view error_class, const std::string& desc) {
    if (error_class == "DeviceNotFound")
        enter(device, LaneState::gone, us, "device_del: " + desc);
    else if (desc.find("in the process of unplug") == desc.npos &&
             state(device) == LaneState::unplug_pending)
        enter(device, before_[device].value_or(LaneState::present), us,
              "device_del refused: " + desc);
}

void DeviceLanes::event(std::string_view event, const std::string& device, std::int64_t us) {
    if (event == "DEVICE_DELETED")
        enter(device, LaneState::gone, us, std::string(event));
    else if (event == "DEVICE_UNPLUG_GUEST_ERROR" && state(device))
        enter(device, LaneState::present, us, std::string(event));
}

void DeviceLanes::listed(const std::vector<std::string>& present, std::int64_t us) {
    for (const auto& each : lanes_) {
        const auto now = state(each.device);
        if ((now == LaneState::present || now == LaneState::unplug_pending) &&
            std::ranges::find(present, each.device) == present.end())
            enter(each.device, LaneState::gone, us, "no longer in query-pci");
    }
}

} // namespace kata_vfio::qemu
