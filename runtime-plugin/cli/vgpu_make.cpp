// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/vgpu_make.hpp"

#include "config/base/failure.hpp"
#include "config/base/text.hpp"
#include "mdev/mdev_create.hpp"
#include "mdev/mdev_remove.hpp"
#include "mdev/mdev_type.hpp"
#include "mdev/placement.hpp"
#include "runtime-plugin/cli/signals.hpp"
#include "runtime-plugin/plugin/device_request.hpp"

#include <algorithm>

namespace kata_vfio::cli {
namespace {

plugin::VgpuRequest parse_type(const std::string& type, const std::string& uuid) {
    auto request = plugin::parse_device(type, uuid);
    if (auto* vgpu = std::get_if<plugin::VgpuRequest>(&request))
        return std::move(*vgpu);
    throw Failure(Errc::invalid_argument, quoted(type) + " is no mdev type")
        .remedy("give TYPE or TYPE@PARENT; kata-vfio types lists them");
}

/// Tries the parents with room in turn: each one's room may be gone by the time of the write.
mdev::MdevDevice create_on_one_of(const Host& host, std::vector<mdev::TypeOffer> offers,
                                  const std::string& type, const mdev::Uuid& uuid) {
    std::stable_partition(offers.begin(), offers.end(),
                          [](const auto& offer) { return offer.available_instances > 0; });
    for (std::size_t i = 0;; ++i) {
        try {
            return mdev::create(host.root, offers[i].parent, type, uuid, host.timeouts.device_node);
        } catch (const Failure& failure) {
            if (failure.code() != Errc::no_instances || i + 1 == offers.size())
                throw;
        }
    }
}

/// By what it must have at least. Policy is for sandboxes: the administrator is bound by none.
mdev::MdevDevice create_best_fit(const Host& host, const plugin::VgpuRequest& request,
                                 const mdev::Uuid& uuid) {
    const std::vector<std::string> everything{"*"};
    mdev::PlacementPolicy policy;
    policy.allowed_types = everything;
    policy.allowed_parents = everything;
    const auto place = mdev::place(mdev::list_parents(host.root),
                                   {request.type, request.parent, request.minimum}, policy);
    return mdev::create(host.root, place.parent, place.type, uuid, host.timeouts.device_node);
}

} // namespace

mdev::MdevDevice make_vgpu(const Host& host, const std::string& type, const std::string& uuid) {
    const auto request = parse_type(type, uuid);
    HeldSignals signals;
    const auto parent =
        request.parent ? std::optional<std::string_view>(*request.parent) : std::nullopt;
    const auto id = request.uuid ? *request.uuid : mdev::Uuid::random();
    auto made = request.type && request.minimum.empty()
                    ? create_on_one_of(host, mdev::find_type(host.root, *request.type, parent),
                                       *request.type, id)
                    : create_best_fit(host, request, id);
    if (!signals.take())
        return made;
    const auto removal = mdev::remove(host.root, made.uuid, host.timeouts.host_write);
    throw Failure(Errc::cancelled,
                  removal.outcome == mdev::RemoveOutcome::removed
                      ? "cancelled: vGPU " + made.uuid.text() + " was made and removed again"
                      : "cancelled, but vGPU " + made.uuid.text() +
                            " is held by somebody already and goes when they let "
                            "it go");
}

mdev::MdevDevice remove_vgpu(const Host& host, const std::string& text) {
    const auto uuid = mdev::Uuid::require(text);
    auto device = mdev::require_device(host.root, uuid);
    host.require_unclaimed("vGPU " + uuid.text(), plugin::mdev_claim(uuid.text()),
                           device.iommu_group);
    HeldSignals signals;
    const auto removal = mdev::remove(host.root, uuid, host.timeouts.host_write);
    if (removal.outcome == mdev::RemoveOutcome::pending)
        throw Failure(Errc::removal_pending, "vGPU " + uuid.text() +
                                                 " is still held by somebody, " +
                                                 std::to_string(host.timeouts.host_write.count()) +
                                                 " ms after it was told to go")
            .remedy("it goes by itself once its holder lets go; until then its capacity is not "
                    "free (kata-vfio vgpus shows it as pending_removal)");
    return device;
}

} // namespace kata_vfio::cli
