// SPDX-License-Identifier: Apache-2.0
#include "client.hpp"

#include "qemu/machine.hpp"

namespace kata_vfio::behaviour {
namespace asio = boost::asio;
using namespace qemu;
using namespace std::chrono_literals;
using fake::failure_of;
using fake::run;

Timeouts patient() {
    Timeouts timeouts;
    timeouts.greeting = timeouts.query = timeouts.device_add = timeouts.device_del = 60s;
    timeouts.unplug = 120s;
    return timeouts;
}

VfioDevice rng(const std::string& id) {
    VfioDevice device(id);
    device.driver = "virtio-rng-pci";
    return device;
}

asio::awaitable<Plugged> plug_into(std::string path, VfioDevice device) {
    const auto session = co_await Session::connect(std::move(path), patient());
    co_return co_await plug(*session, std::move(device));
}

asio::awaitable<void> unplug_from(std::string path, std::string id, Timeouts timeouts) {
    const auto session = co_await Session::connect(std::move(path), timeouts);
    co_await unplug(*session, std::move(id));
}

asio::awaitable<std::string> machine_of(std::string path) {
    const auto session = co_await Session::connect(std::move(path), patient());
    co_return co_await require_pc_machine(*session);
}

HotplugFailure plug_failure(const std::string& path, const VfioDevice& device) {
    return failure_of<HotplugFailure>([&] { return plug_into(path, device); });
}

HotplugFailure unplug_failure(const std::string& path, const std::string& id,
                              const Timeouts& timeouts) {
    return failure_of<HotplugFailure>([&] { return unplug_from(path, id, timeouts); });
}

std::vector<std::string> ids_on_bus(const std::string& path) {
    return run([&]() -> asio::awaitable<std::vector<std::string>> {
        const auto session = co_await Session::connect(path, patient());
        auto command = query_pci();
        const auto value = co_await session->execute(std::move(command));
        std::vector<std::string> ids;
        const auto bus = RootBus::parse(value);
        for (const auto& device : bus.devices())
            if (!device.qdev_id.empty())
                ids.push_back(device.qdev_id);
        co_return ids;
    });
}

QmpFailure refusal_of(const std::string& path, const Command& command) {
    return failure_of<QmpFailure>([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(path, patient());
        auto copy = command;
        co_await session->execute(std::move(copy));
    });
}

} // namespace kata_vfio::behaviour
