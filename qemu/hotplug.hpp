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
    unsigned slot = 0, function = 0; ///< on pci.0
    std::string guest_address;       ///< "0000:00:05.0"
};

/// Plugs the device into the root bus and says where it landed.
///
/// The slot is the lowest free one (as QEMU itself would choose) unless device.addr has one, and
/// goes with the command: a device_add that succeeds has then said where. Asking afterwards costs
/// another 5 to 8 ms, as the guest, busy with its new device, keeps QEMU from answering. When
/// somebody else took the slot in between, QEMU refuses, and the bus is asked for again.
/// device_add can't be taken back while QEMU works on it, so a cancellation waits for its answer
/// and then unplugs. When device_add is not answered in time, a device_del is queued behind it:
/// QEMU works in order, so its answer tells what became of the device.
///
/// `before` is the bus as the caller knows it; nullopt: asked for. A full bus and a taken slot are
/// refused with who occupies them, also when `before` was out of date.
///
/// `sent` is called when device_add is on its way, with where the device will be: what can be done
/// while QEMU works. It must not throw. With another slot tried it is called again.
///
/// Throws HotplugFailure: root_bus_full, invalid_argument (nothing was sent); what QEMU refused
/// with; qmp_timeout; qemu_gone; cancelled. `session` must outlive the call.
boost::asio::awaitable<Plugged> plug(Session& session, VfioDevice device,
                                     std::optional<RootBus> before = std::nullopt,
                                     std::function<void(const Plugged&)> sent = {});

/// Told when something holds an unplug up ("the guest is paused: ..."); on the executor.
using UnplugProgress = std::function<void(const std::string&)>;

/// The root bus as QEMU has it now. Throws what Session::execute() throws, qmp_protocol.
boost::asio::awaitable<RootBus> root_bus(Session& session, OnCancel mode = OnCancel::abandon);

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
