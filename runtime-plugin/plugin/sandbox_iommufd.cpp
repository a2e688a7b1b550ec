// SPDX-License-Identifier: Apache-2.0
#include "qemu/capabilities.hpp"
#include "qemu/hotplug.hpp"
#include "runtime-plugin/plugin/sandbox.hpp"
#include "vfio/vfio_node.hpp"

#include <algorithm>
#include <utility>

namespace kata_vfio::plugin {
namespace asio = boost::asio;
namespace {

/// Whether the other way may fare better: QEMU said no, in words of its own, and not because of
/// what is the same either way.
bool worth_another_way(const qemu::HotplugFailure& failure) {
    return failure.left() == qemu::DeviceState::absent && !failure.verbatim().empty() &&
           failure.code() != Errc::root_bus_full && failure.code() != Errc::already_attached &&
           failure.code() != Errc::invalid_argument;
}

} // namespace

bool Sandbox::host_offers_iommufd() const {
    return effective_.iommufd == "auto" && vfio::has_iommufd(context_.root);
}

void Sandbox::expect_cdevs(std::vector<Target>& targets) const {
    if (!host_offers_iommufd())
        return;
    for (auto& target : targets)
        target.cdev = target.needs_bind || target.attachment.made_vgpu
                          ? vfio::makes_cdevs(context_.root)
                          : vfio::cdev_node(context_.root, target.attachment.sysfsdev).has_value();
}

bool Sandbox::takes_cdevs(const std::vector<Target>& targets) const {
    return capabilities_ && capabilities_->takes_iommufd() &&
           std::all_of(targets.begin(), targets.end(),
                       [](const Target& target) { return target.cdev; });
}

asio::awaitable<void> Sandbox::take_capabilities(qemu::CapabilityProbe& probe) {
    try {
        capabilities_ = co_await probe.finish();
    } catch (const Failure& failure) {
        context_.log(LogLevel::warning,
                     "sandbox " + id_ +
                         ": what its QEMU can do is not known, its devices go in by "
                         "their groups' nodes: " +
                         failure.what());
    }
}

asio::awaitable<qemu::Plugged>
Sandbox::plug_device(std::shared_ptr<qemu::Session> session, qemu::VfioDevice device, bool cdev,
                     std::optional<qemu::RootBus> known,
                     std::function<void(const qemu::Plugged&)> sent) {
    // Asked again: QEMU may have refused the one before (below).
    if (!cdev || !capabilities_ || !capabilities_->takes_iommufd()) {
        auto by_group =
            co_await qemu::plug(*session, std::move(device), std::move(known), std::move(sent));
        co_return by_group;
    }
    auto by_cdev = device;
    by_cdev.iommufd = qemu::iommufd_id;
    // On its way before device_add, which QEMU works off after it; nobody waits for it alone.
    std::optional<qemu::Submitted> adding;
    if (!iommufd_added_)
        adding.emplace(session->submit(qemu::add_iommufd()));
    std::optional<qemu::Plugged> plugged;
    std::optional<qemu::HotplugFailure> refused;
    try {
        plugged = co_await qemu::plug(*session, by_cdev, known, sent);
    } catch (const qemu::HotplugFailure& failure) {
        if (!worth_another_way(failure))
            throw;
        refused = failure;
    }
    if (plugged) { // so the object is there, whatever the answer to object-add is
        iommufd_added_ = true;
        co_return std::move(*plugged);
    }
    capabilities_->iommufd = false;
    context_.log(LogLevel::warning,
                 "sandbox " + id_ + ": QEMU refuses " + device.id +
                     " by its own node, and gets it by its group's: " + refused->what());
    auto by_group =
        co_await qemu::plug(*session, std::move(device), std::move(known), std::move(sent));
    co_return by_group;
}

} // namespace kata_vfio::plugin
