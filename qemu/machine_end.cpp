// SPDX-License-Identifier: Apache-2.0
#include "qemu/machine_end.hpp"

namespace kata_vfio::qemu {

std::string machine_end(const Event& event) {
    if (event.name != "SHUTDOWN")
        return event.name == "GUEST_PANICKED" ? "the guest's kernel panicked" : "";
    const auto reason = event.text("reason");
    if (reason == "guest-shutdown")
        return "the guest switched itself off";
    if (reason == "guest-reset") // -no-reboot, and the kernel's panic=1
        return "the guest's kernel panicked, or the guest reset its machine";
    if (reason == "guest-panic")
        return "the guest's kernel panicked";
    if (reason == "host-signal")
        return "QEMU was told to by a signal";
    if (reason == "host-qmp-quit")
        return "QEMU was told to by QMP";
    return "QEMU says SHUTDOWN, " + std::string(reason.empty() ? "no reason" : reason);
}

std::optional<bool> ends_in_order(const Event& event) {
    if (event.name == "SHUTDOWN") {
        // What a reconnect found out has no reason; a signal is sent to a QEMU that is not to
        // be had by QMP, and panic and reset are faults of the guest.
        const auto reason = event.text("reason");
        return reason == "guest-shutdown" || reason == "host-qmp-quit";
    }
    // With -no-shutdown the machine may go on after all.
    if (event.name == "RESET" || event.name == "RESUME" || event.name == "GUEST_PANICKED")
        return false;
    return std::nullopt;
}

} // namespace kata_vfio::qemu
