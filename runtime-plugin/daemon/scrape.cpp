// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/daemon/scrape.hpp"

#include "mdev/mdev_type.hpp"
#include "runtime-plugin/cli/types.hpp"
#include "runtime-plugin/cli/vgpus.hpp"
#include "runtime-plugin/daemon/log.hpp"
#include "runtime-plugin/daemon/pool.hpp"
#include "runtime-plugin/rpc/json_message.hpp"

#include <boost/json.hpp>

namespace kata_vfio::daemon {
namespace {

Metrics::Host read(const cli::Host& host) {
    Metrics::Host found;
    v1::ListVgpuTypesResponse types;
    rpc::fill(types, cli::types_json(mdev::list_parents(host.root)));
    found.types.assign(types.types().begin(), types.types().end());
    v1::ListVgpusResponse vgpus;
    cli::OwnerView owners(host);
    rpc::fill(vgpus, cli::vgpus_json(cli::list_vgpu_reports(host, owners)));
    found.vgpus.assign(vgpus.vgpus().begin(), vgpus.vgpus().end());
    return found;
}

} // namespace

boost::asio::awaitable<std::string> scrape(Core& core) {
    try {
        std::function<Metrics::Host()> work = [host = core.host()] { return read(host); };
        auto host = co_await on_pool<Metrics::Host>(core.pool, std::move(work));
        const auto listed = co_await core.list("");
        v1::ListResponse sandboxes;
        rpc::fill(sandboxes, listed);
        host.sandboxes = static_cast<std::size_t>(sandboxes.sandboxes_size());
        for (const auto& sandbox : sandboxes.sandboxes())
            for (const auto& attachment : sandbox.attachments()) {
                (attachment.kind() == v1::ATTACHMENT_KIND_MDEV ? host.mdev : host.pci) += 1;
                host.pending += attachment.has_pending() || attachment.unplugged();
            }
        core.metrics.host(host);
    } catch (const Refused&) { // the daemon is ending: what was known is told
    } catch (const std::exception& error) {
        log(Level::warning, std::string("the host can't be read for /metrics: ") + error.what());
    }
    std::vector<std::pair<std::string, std::filesystem::path>> logs;
    for (const auto& id : core.sandboxes.ids())
        logs.emplace_back(id, core.host().state.sandbox(id) / "wire.log");
    // The first time that is all of each log: not the loop's work.
    std::function<bool()> meter = [&core, logs = std::move(logs)] {
        core.qmp_meter.read(core.loop, logs);
        return true;
    };
    co_await on_pool<bool>(core.pool, std::move(meter));
    core.metrics.running(core.operations.running(), core.sandboxes.size(), core.watchers);
    co_return core.metrics.text();
}

} // namespace kata_vfio::daemon
