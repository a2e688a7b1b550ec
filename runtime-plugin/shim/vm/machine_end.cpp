// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/vm/machine_end.hpp"

namespace kata_vfio::shim {

std::string machine_end(const qemu::Event& event) {
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

} // namespace kata_vfio::shim
