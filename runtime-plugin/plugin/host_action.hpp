// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/errc.hpp"
#include "runtime-plugin/plugin/context.hpp"
#include "runtime-plugin/plugin/recovery.hpp"
#include "vfio/deadline.hpp"
#include "vfio/host_write.hpp"

#include <optional>
#include <string>
#include <vector>

namespace kata_vfio::plugin {

/// Carries out the host's part of a plan (recovery.hpp), in order, on a thread of the pool; what is
/// QEMU's, and what is the record's, is left to the caller. Throws what the first one that failed
/// did, and leaves the rest.
class HostActor {
  public:
    enum class Occasion { undo, give_back };

    HostActor(const Context& context, const SandboxState& state, Occasion occasion,
              vfio::Deadline deadline)
        : context_(context), state_(state), occasion_(occasion), deadline_(deadline) {}

    void act(const std::vector<Action>& actions);

    /// What people should know, to be logged on the loop's thread.
    std::vector<std::string> notes;
    /// After a failure: what it was at, and the child that is blocked in it, if it is ours.
    std::string stopped_at;
    std::optional<vfio::PendingWrite> helper;

  private:
    void remove_vgpu(const std::string& uuid);
    void restore_driver(const vfio::BindRecord& record);

    const Context& context_;
    const SandboxState& state_;
    Occasion occasion_;
    vfio::Deadline deadline_;
};

/// A failure of giving a device back that somebody's hold on it explains: it goes back later.
constexpr bool still_held(Errc code) noexcept {
    return code == Errc::removal_pending || code == Errc::device_in_use ||
           code == Errc::host_timeout;
}

} // namespace kata_vfio::plugin
