// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/context.hpp"

namespace kata_vfio::plugin {
namespace {

qemu::Timeouts qmp_timeouts_of(const config::Timeouts& configured) {
    qemu::Timeouts timeouts;
    timeouts.greeting = configured.greeting;
    timeouts.query = configured.query;
    timeouts.device_add = configured.device_add;
    timeouts.device_del = configured.device_del;
    timeouts.unplug = configured.unplug;
    timeouts.unplug_resend = configured.unplug_resend;
    timeouts.unresponsive = configured.unresponsive;
    timeouts.reconnect = configured.reconnect;
    return timeouts;
}

} // namespace

Context::Context(vfio::HostRoot host_root, Configured configured, HostServices services_)
    : root(std::move(host_root)), config(std::move(configured.values)),
      config_refused(std::move(configured.refused)), services(std::move(services_)),
      state(root.root() / std::filesystem::path(config.vfio.state_dir).relative_path()),
      claims(state, root), qmp_timeouts(qmp_timeouts_of(config.vfio.timeouts)), io(1) {}

} // namespace kata_vfio::plugin
