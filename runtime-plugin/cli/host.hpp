// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/schema.hpp"
#include "runtime-plugin/cli/arguments.hpp"
#include "runtime-plugin/plugin/claims.hpp"
#include "runtime-plugin/plugin/state_dir.hpp"
#include "vfio/host_root.hpp"
#include "vfio/pci_address.hpp"

#include <functional>
#include <optional>
#include <string>

namespace kata_vfio::cli {

/// The host that the verbs without a sandbox work on. They need no configuration: if there is one
/// it tells the state directory and the time limits, and its policy (for sandboxes) is not applied.
struct Host {
    vfio::HostRoot root;
    plugin::StateDir state;
    config::Timeouts timeouts;

    plugin::Claims claims() const { return plugin::Claims(state, root); }

    /// The sandbox that has the device, by its own claim or its group's.
    std::optional<std::string> owner(const std::string& claim, std::optional<int> group) const;

    /// Throws Failure(device_in_use) naming the sandbox. Only what sandboxes have claimed is known
    /// here; somebody who opens the group later is found by the kernel's own check in each change.
    void require_unclaimed(const std::string& what, const std::string& claim,
                           std::optional<int> group) const;
};

/// Asked when a change of the host is made, and can still be taken back: whether the caller does
/// not want it any more (Ctrl-C; a client that is gone).
using GivenUp = std::function<bool()>;

/// Owners for a listing: a user who may not read the claims still gets the rest of it.
class OwnerView {
  public:
    explicit OwnerView(const Host& host) : host_(host) {}
    std::optional<std::string> of(const std::string& claim, std::optional<int> group);
    /// Why owners are missing; "" when they are not.
    const std::string& note() const noexcept { return note_; }

  private:
    const Host& host_;
    std::string note_;
};

/// The configuration file that is named by --config or KATA_CONF_FILE, or found; none when nothing
/// is named and there is none. Throws Failure(config_invalid) when a named one is missing.
std::optional<std::filesystem::path> configuration_file(const Arguments& arguments);

/// Why the configuration that is named or found can't be read; nullopt also when there is none.
std::optional<Failure> unusable_configuration(const Arguments& arguments);

/// Throws Failure(config_invalid) for a configuration that is there but can't be read: the claims
/// of the sandboxes might be somewhere else then.
Host open_host(const Arguments& arguments);

} // namespace kata_vfio::cli
