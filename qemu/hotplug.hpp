// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"
#include "qemu/device_add.hpp"
#include "qemu/pci_slots.hpp"
#include "qemu/qmp/session.hpp"

#include <boost/asio/awaitable.hpp>

#include <functional>
#include <iosfwd>
#include <optional>
#include <string>

namespace kata_vfio::qemu {

/// Where a failed plug or unplug left the device in QEMU: decides whether the host side may be
/// undone. Only after `absent` is it safe to remove the vGPU or to unbind the function.
enum class DeviceState {
    absent,
    present,
    unknown, ///< the connection was lost, or QEMU does not answer
};
std::ostream& operator<<(std::ostream& out, DeviceState state);

/// What plug() and unplug() throw.
class HotplugFailure : public Failure {
  public:
    HotplugFailure(const Failure& why, DeviceState left) : Failure(why), left_(left) {}
    DeviceState left() const noexcept { return left_; }

  private:
    DeviceState left_;
};

struct Plugged {
    std::string id;
    std::string guest_address; ///< "0000:00:05.0", from query-pci
    RootBusDevice device;
};

/// Plugs the device into the root bus and says where it landed.
///
/// Before: query-pci, so that a full bus is refused with the list of who occupies it. After:
/// query-pci again for the address. device_add can't be taken back while QEMU works on it, so a
/// cancellation waits for its answer and then unplugs. When device_add is not answered in time, a
/// device_del is queued behind it: QEMU works in order, so its answer tells what became of the
/// device.
///
/// `before` is what a query-pci of the caller's has just said, when it has asked already: it costs
/// a few ms in a guest with many devices, as it reads the configuration space of each.
///
/// Throws HotplugFailure: root_bus_full, invalid_argument (nothing was sent); what QEMU refused
/// with; qmp_timeout; qemu_gone; cancelled. `session` must outlive the call.
boost::asio::awaitable<Plugged> plug(Session& session, VfioDevice device,
                                     std::optional<RootBus> before = std::nullopt);

/// Told when something holds an unplug up ("the guest is paused: ..."); on the executor.
using UnplugProgress = std::function<void(const std::string&)>;

/// Takes the device out and returns when QEMU has provably let it go: DEVICE_DELETED, then the id
/// absent from /machine/peripheral. An id that QEMU does not have is done at once.
///
/// Throws HotplugFailure: guest_not_ready (never started), unplug_timeout (the guest did not let go
/// within timeouts().unplug; the device stays and a later unplug can finish it), what QEMU refused
/// with, qemu_gone, cancelled (the request stays with the guest). Takes at most timeouts().unplug
/// and, on a QEMU that does not answer, one command's deadline more. `session` must outlive the
/// call.
boost::asio::awaitable<void> unplug(Session& session, std::string id, UnplugProgress progress = {});

} // namespace kata_vfio::qemu
