// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/daemon/core.hpp"

#include "config/load.hpp"
#include "config/validate.hpp"
#include "runtime-plugin/daemon/log.hpp"
#include "runtime-plugin/daemon/pool.hpp"
#include "runtime-plugin/plugin/outcome.hpp"
#include "runtime-plugin/rpc/json_message.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json.hpp>

namespace kata_vfio::daemon {
namespace asio = boost::asio;
namespace {

config::Configuration read(const std::string& file) {
    auto configuration = config::load(file);
    config::enforce(configuration);
    if (const auto findings = config::validate_daemon(configuration); !findings.empty())
        throw findings.front().failure();
    return configuration;
}

} // namespace

Core::Core(asio::io_context& io, const kata_vfio_entry_t& entry, std::string config,
           std::string root)
    : loop(io), host_changes(io.get_executor()), operations(io), sandboxes(io, pool),
      qmp_meter(std::chrono::duration_cast<std::chrono::microseconds>(
                    std::chrono::steady_clock::now().time_since_epoch())
                    .count(),
                [this](const std::string& command, Metrics::Duration took) {
                    metrics.qmp(command, took);
                }),
      entry_(entry), config_(std::move(config)), root_(std::move(root)),
      configuration_(read(config_)) {
    for (const auto& warning : configuration_.warnings)
        log(Level::warning, warning.str());
    sandboxes.use(open_plugin());
    const auto state = host().state;
    const auto directory = state.path() / "daemon";
    state.ensure(directory);
    events = std::make_unique<EventLog>(directory);
    operations.on_give_up = [](const Operation& operation) {
        log(operation.changes ? Level::info : Level::debug,
            operation.method + " is given up: what it has done is undone");
    };
    operations.on_end = [this](const Operation& operation) { on_end(operation); };
}

Core::~Core() {
    pool.join();
}

cli::Host Core::host() const {
    const std::filesystem::path state(configuration_.vfio.state_dir);
    return cli::Host{vfio::HostRoot(root_),
                     plugin::StateDir(std::filesystem::path(root_) / state.relative_path()),
                     configuration_.vfio.timeouts};
}

std::shared_ptr<PluginInstance> Core::open_plugin() {
    auto* opened = new PluginInstance(loop, entry_, config_, root_,
                                      [this](const PluginEvent& event) { on_event(event); });
    // Closing waits for the plugin's threads, which the loop must not.
    return {opened, [this](PluginInstance* instance) {
                asio::post(pool, [instance] { delete instance; });
            }};
}

asio::awaitable<void> Core::reload() {
    std::function<config::Configuration()> work = [file = config_] { return read(file); };
    try {
        auto fresh = co_await on_pool<config::Configuration>(pool, std::move(work));
        const auto& now = configuration_.vfio;
        if (fresh.vfio.state_dir != now.state_dir)
            throw Failure(Errc::config_invalid, "state_dir can't change while kata-vfiod runs")
                .remedy("restart kata-vfiod");
        const auto& a = fresh.vfio.daemon;
        const auto& b = now.daemon;
        if (std::tie(a.socket, a.socket_mode, a.tcp, a.tls_certificate, a.tls_key, a.tls_client_ca,
                     a.metrics) != std::tie(b.socket, b.socket_mode, b.tcp, b.tls_certificate,
                                            b.tls_key, b.tls_client_ca, b.metrics))
            log(Level::warning, "sockets, TLS files and metrics of [vfio.daemon] are as they were "
                                "until kata-vfiod is restarted");
        std::function<std::shared_ptr<PluginInstance>()> open = [this] { return open_plugin(); };
        auto instance = co_await on_pool<std::shared_ptr<PluginInstance>>(pool, std::move(open));
        sandboxes.use(std::move(instance));
        configuration_ = std::move(fresh);
    } catch (...) {
        const auto failure = plugin::failure_from(std::current_exception());
        metrics.configuration(false);
        log(Level::error, std::string("the configuration stays as it was: ") + failure.what());
        tell(v1::Event::KIND_CONFIGURATION, nullptr, [&](v1::Event& event) {
            rpc::fill(*event.mutable_error(), plugin::failure_json(failure));
        });
        throw;
    }
    metrics.configuration(true);
    log(Level::info, "the configuration was read again");
    tell(v1::Event::KIND_CONFIGURATION);
    co_await sandboxes.move_idle();
}

PluginInstance::Started Core::started(Operation& operation, const PluginInstance& instance) {
    return [this, &operation, id = instance.id()](std::uint64_t ticket) {
        tickets_[{id, ticket}] = &operation;
    };
}

std::shared_ptr<PluginInstance> Core::instance() const {
    auto instance = sandboxes.instance();
    if (!instance)
        throw Refused(rpc::ServiceRefusal::draining, "kata-vfiod is ending");
    return instance;
}

asio::awaitable<boost::json::object> Core::list(std::string sandbox) {
    const auto instance = this->instance();
    PluginInstance::Start start = [&](kata_vfio_call_t* call) {
        return instance->entry().list(instance->plugin(), view(sandbox), call);
    };
    auto finished = co_await instance->call(std::move(start));
    co_return std::move(finished.json);
}

asio::awaitable<v1::ReconcileResponse> Core::reconcile(std::string sandbox, bool dry_run,
                                                       PluginInstance::Started started) {
    const auto instance = this->instance();
    if (!KATA_VFIO_HAS(&instance->entry(), reconcile))
        throw Failure(Errc::abi_mismatch, "the plugin is older than reconcile")
            .remedy("install the plugin and the daemon of one version");
    PluginInstance::Start start = [&](kata_vfio_call_t* call) {
        kata_vfio_reconcile_t options = KATA_VFIO_INIT(options);
        options.flags = dry_run ? KATA_VFIO_RECONCILE_DRY_RUN : 0;
        options.sandbox_id = view(sandbox);
        return instance->entry().reconcile(instance->plugin(), &options, call);
    };
    const auto finished = co_await instance->call(std::move(start), std::move(started));
    v1::ReconcileResponse report;
    rpc::fill(report, finished.json);
    if (!dry_run)
        metrics.reconciled(report, sandbox.empty());
    for (const auto& finding : report.sandboxes())
        if (finding.verdict() == v1::ReconcileResponse::VERDICT_GIVEN_BACK && !dry_run)
            sandboxes.lost(finding.sandbox());
    co_return report;
}

void Core::tell(v1::Event::Kind kind, const Operation* operation,
                const std::function<void(v1::Event&)>& fill) {
    v1::Event event;
    event.set_kind(kind);
    if (operation) {
        event.set_request_id(operation->request_id);
        event.set_sandbox(operation->subject.sandbox);
    }
    if (fill)
        fill(event);
    const bool was_well = events->trouble().empty();
    events->append(std::move(event));
    if (was_well && !events->trouble().empty())
        log(Level::error, events->trouble() + ": events are not kept over a restart any more");
}

void Core::on_event(const PluginEvent& told) {
    const auto found = tickets_.find({told.instance, told.ticket});
    auto* operation = found == tickets_.end() ? nullptr : found->second;
    const auto about = [&](v1::Event& event) {
        event.set_sandbox(told.sandbox);
        event.set_text(told.text);
    };
    switch (told.kind) {
    case KATA_VFIO_EVENT_STEP:
        if (operation) {
            const auto now = std::chrono::steady_clock::now();
            if (!operation->step.empty())
                metrics.stepped(operation->method, operation->step, now - operation->step_began);
            operation->step = step_label(told.text);
            operation->step_began = now;
        }
        return tell(v1::Event::KIND_STEP, operation, about);
    case KATA_VFIO_EVENT_QEMU_GONE:
        metrics.monitor("gone");
        sandboxes.lost(told.sandbox);
        return tell(v1::Event::KIND_QEMU_GONE, operation, about);
    case KATA_VFIO_EVENT_MONITOR:
        metrics.monitor("other");
        return tell(v1::Event::KIND_MONITOR, operation, about);
    default: // of a younger plugin
        return;
    }
}

void Core::on_end(const Operation& operation) {
    std::erase_if(tickets_, [&](const auto& each) { return each.second == &operation; });
    const auto now = std::chrono::steady_clock::now();
    metrics.called(operation.method, operation.reason, now - operation.began);
    if (!operation.step.empty())
        metrics.stepped(operation.method, operation.step, now - operation.step_began);
    if (!operation.failure)
        return;
    if (operation.changes || operation.status.error_code() == grpc::INVALID_ARGUMENT)
        log(Level::warning, operation.method + ": " + operation.failure->what());
    if (!operation.changes)
        return;
    tell(v1::Event::KIND_CALL_FAILED, &operation, [&](v1::Event& event) {
        event.set_text(operation.method);
        event.set_subject(operation.subject.device);
        rpc::fill(*event.mutable_error(), plugin::failure_json(*operation.failure));
    });
}

std::uint64_t Core::on_drain(std::function<void()> end) {
    if (drained_) // what it waited for before it came here took longer than the draining
        asio::post(loop, end);
    drains_.emplace(next_drain_, std::move(end));
    return next_drain_++;
}

void Core::off_drain(std::uint64_t name) {
    drains_.erase(name);
}

asio::awaitable<void> Core::end(std::chrono::milliseconds patience) {
    operations.refuse_new();
    tell(v1::Event::KIND_DAEMON_DRAINING);
    // Never expires by itself when all have ended before.
    auto timer = std::make_shared<asio::steady_timer>(loop, patience);
    operations.when_idle([timer] { timer->cancel(); });
    if (operations.running() > 0)
        co_await timer->async_wait(asio::as_tuple(asio::use_awaitable));
    if (operations.running() > 0) {
        log(Level::warning, std::to_string(operations.running()) +
                                " calls did not end in time: they are cancelled and undone");
        auto undone =
            std::make_shared<asio::steady_timer>(loop, asio::steady_timer::time_point::max());
        operations.when_idle([undone] { undone->cancel(); });
        operations.cancel_all();
        if (operations.running() > 0)
            co_await undone->async_wait(asio::as_tuple(asio::use_awaitable));
    }
    drained_ = true;
    const auto drains = std::exchange(drains_, {});
    for (const auto& [name, finish] : drains)
        finish();
    co_await sandboxes.close_all();
    sandboxes.use(nullptr); // closed on the pool, which the destructor waits for
}

} // namespace kata_vfio::daemon
