// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "qemu/hotplug.hpp"
#include "test/fixtures/fake_qmp/run.hpp"

#include <string>
#include <vector>

namespace kata_vfio::behaviour {

/// Nothing times out but what a test shortens.
qemu::Timeouts patient();

/// A PCI device any host can plug; the way is the same as for vfio-pci.
qemu::VfioDevice rng(const std::string& id);

// Each on a session of its own.
boost::asio::awaitable<qemu::Plugged> plug_into(std::string path, qemu::VfioDevice device);
boost::asio::awaitable<void> unplug_from(std::string path, std::string id, qemu::Timeouts timeouts);
boost::asio::awaitable<std::string> machine_of(std::string path);
qemu::HotplugFailure plug_failure(const std::string& path, const qemu::VfioDevice& device);
qemu::HotplugFailure unplug_failure(const std::string& path, const std::string& id,
                                    const qemu::Timeouts& timeouts = patient());
/// qdev ids on the root bus, in the bus's order.
std::vector<std::string> ids_on_bus(const std::string& path);

/// The QMP error reply that the command must end with.
qemu::QmpFailure refusal_of(const std::string& path, const qemu::Command& command);

} // namespace kata_vfio::behaviour
