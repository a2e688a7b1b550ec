// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/schema.hpp"
#include "runtime-plugin/cli/host.hpp"
#include "runtime-plugin/daemon/event_log.hpp"
#include "runtime-plugin/daemon/metrics.hpp"
#include "runtime-plugin/daemon/operations.hpp"
#include "runtime-plugin/daemon/plugin_instance.hpp"
#include "runtime-plugin/daemon/qmp_meter.hpp"
#include "runtime-plugin/daemon/sandbox_handles.hpp"
#include "runtime-plugin/plugin/turnstile.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <utility>

namespace kata_vfio::daemon {

/// What the services share, without gRPC's server. Everything on the loop's thread, but `pool`'s
/// work.
class Core {
  public:
    /// `config`: the configuration's file. Throws Failure when it, or the plugin's opening, is bad.
    Core(boost::asio::io_context& io, const kata_vfio_entry_t& entry, std::string config,
         std::string root);
    ~Core();

    boost::asio::io_context& loop;
    /// For what blocks: host changes, closing of handles.
    boost::asio::thread_pool pool{8};
    /// Who changes the host by hand (Host's calls) has the turn.
    plugin::Turnstile host_changes;
    Metrics metrics;
    Operations operations;
    SandboxHandles sandboxes;
    std::unique_ptr<EventLog> events;
    std::size_t watchers = 0;
    QmpMeter qmp_meter;

    const config::Configuration& configuration() const noexcept { return configuration_; }
    /// The host that the verbs without a sandbox work on.
    cli::Host host() const;

    /// Reads the configuration again. On success what is called from now on goes by it; otherwise
    /// everything stays, and the failure is thrown.
    boost::asio::awaitable<void> reload();

    /// A call of the plugin's, on behalf of an operation: its steps become events and metrics.
    PluginInstance::Started started(Operation& operation, const PluginInstance& instance);
    PluginInstance::Started started(Operation& operation) {
        return started(operation, *sandboxes.instance());
    }
    /// The plugin's `list`, as a message's JSON. It and reconcile() throw Refused(draining) once
    /// end() has let the plugin go.
    boost::asio::awaitable<boost::json::object> list(std::string sandbox);
    boost::asio::awaitable<v1::ReconcileResponse> reconcile(std::string sandbox, bool dry_run,
                                                            PluginInstance::Started started);

    void tell(v1::Event::Kind kind, const Operation* operation = nullptr,
              const std::function<void(v1::Event&)>& fill = {});

    /// Everything that can still be given up is; waits for all. Then closes what is open.
    boost::asio::awaitable<void> end(std::chrono::milliseconds patience);

    /// Streams end at draining: `end` is called then, or soon when that is over.
    std::uint64_t on_drain(std::function<void()> end);
    void off_drain(std::uint64_t name);

  private:
    std::shared_ptr<PluginInstance> open_plugin();
    std::shared_ptr<PluginInstance> instance() const;
    void on_event(const PluginEvent& event);
    void on_end(const Operation& operation);

    const kata_vfio_entry_t& entry_;
    std::string config_, root_;
    config::Configuration configuration_;
    /// By plugin instance and ticket.
    std::map<std::pair<std::uint64_t, std::uint64_t>, Operation*> tickets_;
    std::map<std::uint64_t, std::function<void()>> drains_;
    std::uint64_t next_drain_ = 1;
    bool drained_ = false;
};

} // namespace kata_vfio::daemon
