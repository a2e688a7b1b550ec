// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/json/object.hpp>

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::qemu {

/// Where a device is in its life, as far as the wire tells.
enum class LaneState {
    plugging,       ///< device_add is out
    present,        ///< device_add was answered, or somebody asked to remove it
    unplug_pending, ///< device_del is out, or accepted and the guest has not let go
    gone,           ///< DEVICE_DELETED, DeviceNotFound, or a device_add that was refused
};
std::string_view name(LaneState state) noexcept;
std::ostream& operator<<(std::ostream& out, LaneState state);

/// A stretch of a device's life.
struct DevicePhase {
    LaneState state = LaneState::present;
    std::int64_t from_us = 0;
    std::optional<std::int64_t> to_us; ///< nullopt: still so when the log ends
    std::string cause;                 ///< "device_add refused: ...", "DEVICE_DELETED"
};

struct DeviceLane {
    std::string device; ///< QEMU's device id
    std::vector<DevicePhase> phases;
};

/// Follows devices through the commands and events that concern them. Pure.
class DeviceLanes {
  public:
    void device_add_sent(const std::string& device, std::int64_t us);
    void device_add_answered(const std::string& device, std::int64_t us);
    void device_add_refused(const std::string& device, std::int64_t us, const std::string& desc);
    void device_del_sent(const std::string& device, std::int64_t us);
    void device_del_refused(const std::string& device, std::int64_t us,
                            std::string_view error_class, const std::string& desc);
    /// An event about a device: DEVICE_DELETED, DEVICE_UNPLUG_GUEST_ERROR; others change nothing.
    void event(std::string_view event, const std::string& device, std::int64_t us);
    /// A complete list of the devices on the bus: those it lacks went while nobody listened.
    void listed(const std::vector<std::string>& present, std::int64_t us);

    /// By the time each first appeared.
    const std::vector<DeviceLane>& lanes() const noexcept { return lanes_; }

  private:
    DeviceLane& lane(const std::string& device);
    void enter(const std::string& device, LaneState state, std::int64_t us, std::string cause);
    std::optional<LaneState> state(const std::string& device) const;

    std::vector<DeviceLane> lanes_;
    std::map<std::string, std::size_t, std::less<>> index_;
    /// What a device was before the command that is out: a refused one leaves it at that.
    std::map<std::string, std::optional<LaneState>, std::less<>> before_;
};

/// The device that an event's data names: `device`, else the id in `path`
/// (/machine/peripheral/ID). "" for a path below a device: its child went, not the device.
std::string event_device(const boost::json::object& data);

} // namespace kata_vfio::qemu
