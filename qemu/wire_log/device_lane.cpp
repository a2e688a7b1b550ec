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

std::string_view name(DeviceLife state) noexcept {
    switch (state) {
    case DeviceLife::plugging:
        return "plugging";
    case DeviceLife::present:
        return "present";
    case DeviceLife::unplug_pending:
        return "unplug pending";
    case DeviceLife::gone:
        return "gone";
    }
    return "";
}

std::ostream& operator<<(std::ostream& out, DeviceLife state) {
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

std::optional<DeviceLife> DeviceLanes::state(const std::string& device) const {
    const auto found = index_.find(device);
    if (found == index_.end() || lanes_[found->second].phases.empty())
        return std::nullopt;
    return lanes_[found->second].phases.back().state;
}

void DeviceLanes::enter(const std::string& device, DeviceLife state, std::int64_t us,
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
    enter(device, DeviceLife::plugging, us, "device_add");
}

void DeviceLanes::device_add_answered(const std::string& device, std::int64_t us) {
    if (state(device) == DeviceLife::plugging)
        enter(device, DeviceLife::present, us, "device_add answered");
}

void DeviceLanes::device_add_refused(const std::string& device, std::int64_t us,
                                     const std::string& desc) {
    // "Duplicate device ID": the one that was there is there still.
    enter(device, before_[device].value_or(DeviceLife::gone), us, "device_add refused: " + desc);
}

void DeviceLanes::device_del_sent(const std::string& device, std::int64_t us) {
    const auto now = state(device);
    before_[device] = now.value_or(DeviceLife::present);
    if (!now)
        enter(device, DeviceLife::present, us, "plugged before this log began");
    // Into a life that has ended only the answer can breathe new doubt.
    if (now != DeviceLife::gone)
        enter(device, DeviceLife::unplug_pending, us, "device_del");
}

void DeviceLanes::device_del_refused(const std::string& device, std::int64_t us,
                                     std::string_view error_class, const std::string& desc) {
    if (error_class == "DeviceNotFound")
        enter(device, DeviceLife::gone, us, "device_del: " + desc);
    else if (desc.find("in the process of unplug") == desc.npos &&
             state(device) == DeviceLife::unplug_pending)
        enter(device, before_[device].value_or(DeviceLife::present), us,
              "device_del refused: " + desc);
}

void DeviceLanes::event(std::string_view event, const std::string& device, std::int64_t us) {
    if (event == "DEVICE_DELETED")
        enter(device, DeviceLife::gone, us, std::string(event));
    else if (event == "DEVICE_UNPLUG_GUEST_ERROR" && state(device))
        enter(device, DeviceLife::present, us, std::string(event));
}

void DeviceLanes::listed(const std::vector<std::string>& present, std::int64_t us) {
    for (const auto& each : lanes_) {
        const auto now = state(each.device);
        if ((now == DeviceLife::present || now == DeviceLife::unplug_pending) &&
            std::ranges::find(present, each.device) == present.end())
            enter(each.device, DeviceLife::gone, us, "no longer in query-pci");
    }
}

} // namespace kata_vfio::qemu
