// SPDX-License-Identifier: Apache-2.0
// The part of Agent that waits for devices.
#include "runtime-plugin/agent/guest/agent.hpp"
#include "runtime-plugin/agent/guest/device.hpp"
#include "runtime-plugin/kernel/system_error.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

namespace kata_vfio::agent {
namespace {

/// One that was plugged after the kernel had looked at its bus, and before it listened for more, is
/// told by no event.
constexpr std::chrono::seconds rescan_after{2};

} // namespace

void Agent::await(std::uint32_t request, const AwaitDevice& call) {
    const auto now = Clock::now();
    waits_.push_back({request, call.address, call.vfio,
                      now + std::chrono::milliseconds(call.timeout_ms), now + rescan_after});
    // It may have come before its event was listened for, and its driver be one to load.
    if (const auto modalias = modalias_of(root_, call.address))
        modules_.load_for_alias(*modalias);
}

void Agent::on_uevents() {
    while (const auto event = uevents_.next()) {
        if (event->action != "add")
            continue;
        const auto modalias = event->values.find("MODALIAS");
        if (modalias == event->values.end())
            continue;
        try {
            modules_.load_for_alias(modalias->second);
        } catch (const std::exception& error) {
            say(error.what());
        }
    }
}

void Agent::check_devices() {
    std::erase_if(waits_, [&](DeviceWait& wait) {
        try {
            return check_device(wait);
        } catch (const SystemError& error) {
            refuse(wait.request, error.what(), error.number());
            return true;
        } catch (const std::exception& error) {
            // Of a device whose driver comes or goes as it is looked at: its own container's
            // business, not the end of all.
            refuse(wait.request, error.what(), EIO);
            return true;
        }
    });
}

bool Agent::check_device(DeviceWait& wait) {
    const auto now = Clock::now();
    const bool there = report_as_is(root_, wait.address).has_value();
    bool ready = there;
    if (there && wait.vfio) {
        modules_.load("vfio-pci");
        ready = give_to_vfio(root_, wait.address);
        if (!ready && now >= wait.until)
            throw SystemError("the guest's vfio-pci does not take " + wait.address, EINVAL);
    }
    if (auto report = ready ? report_if_ready(root_, wait.address) : std::nullopt) {
        reply(wait.request, to_json(*report));
        return true;
    }
    if (now >= wait.until) {
        if (auto report = report_as_is(root_, wait.address))
            reply(wait.request, to_json(*report));
        else
            refuse(wait.request, "no PCI function " + wait.address + " came up in the guest",
                   ENODEV);
        return true;
    }
    if (now >= wait.rescan) {
        wait.rescan = Clock::time_point::max();
        if (!there)
            rescan();
    }
    return false;
}

void Agent::rescan() const {
    const UniqueFd bus(::open(root_.sys("bus/pci/rescan").c_str(), O_WRONLY | O_CLOEXEC));
    if (!bus || ::write(bus.get(), "1", 1) != 1)
        throw SystemError("can't look for PCI functions anew", errno);
}

} // namespace kata_vfio::agent
