// SPDX-License-Identifier: Apache-2.0
// The sandbox's QMP socket for people and tools.
#include "qemu/qmp/proxy/upstream.hpp"
#include "runtime-plugin/plugin/sandbox.hpp"
#include "runtime-plugin/plugin/sandbox_locked.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <algorithm>

namespace kata_vfio::plugin {
namespace asio = boost::asio;
namespace {

// What a client can make state.json grow by is bounded: in unsafe mode any name passes.
constexpr std::size_t most_taints = 64, longest_taint = 64;
constexpr auto other_taints = "(others)";

} // namespace

void Sandbox::serve_proxy() {
    const auto& setting = context_.config.vfio.qmp_proxy;
    if (setting == "off" || proxy_)
        return;
    // Where policy lets nothing in, nothing comes in by this door either.
    const auto mode =
        setting == "unsafe" && !policy_ ? qemu::ProxyMode::unsafe : qemu::ProxyMode::read_only;
    // Weak: the proxy is this sandbox's, and ends with it.
    qemu::ProxyHooks hooks;
    hooks.tainted = [weak = weak_from_this()](const std::string& command) {
        const auto self = weak.lock();
        if (!self || !self->taints_.insert(command).second)
            return;
        if (self->taints_.size() <= most_taints)
            asio::co_spawn(self->context_.io, record_taint(self, command), asio::detached);
    };
    hooks.device_changed = [weak = weak_from_this()](const qemu::Command& command) {
        const auto self = weak.lock();
        if (!self)
            return;
        const auto* id = command.arguments.if_contains("id");
        if (command.name == "device_add" && id && id->is_string() && self->monitor_)
            self->monitor_->plugged(std::string(id->get_string()));
        self->context_.log(LogLevel::warning,
                           "sandbox " + self->id_ + ": " + command.name +
                               " came through its QMP proxy; what the sandbox has attached is "
                               "not changed by it");
    };
    try {
        qemu::UnixListener listener((context_.state.sandbox(id_) / "qmp.sock").string());
        proxy_ = std::make_unique<qemu::Proxy>(context_.io.get_executor(), std::move(listener),
                                               qemu::ProxyPolicy(mode), std::move(hooks));
        attach_proxy();
    } catch (const std::exception& failure) { // Asio's own among them: it is no failure of open
        context_.log(LogLevel::warning, "sandbox " + id_ + " has no QMP proxy: " + failure.what());
    }
}

void Sandbox::attach_proxy() {
    if (proxy_ && monitor_)
        proxy_->attach(std::make_shared<qemu::SessionUpstream>(context_.io.get_executor(),
                                                               monitor_->session()));
}

asio::awaitable<void> Sandbox::record_taint(std::shared_ptr<Sandbox> self, std::string command) {
    try {
        auto locked = co_await self->lock();
        auto& known = locked.state.tainted;
        if (known.size() >= most_taints || command.size() > longest_taint)
            command = other_taints;
        if (std::find(known.begin(), known.end(), command) != known.end())
            co_return;
        known.push_back(command);
        self->save(locked.state);
        self->context_.log(LogLevel::warning, "sandbox " + self->id_ +
                                                  " is tainted: its QMP proxy has passed " +
                                                  command);
    } catch (const Failure& failure) {
        self->taints_.erase(command); // the next one is tried again
        self->context_.log(LogLevel::error, "sandbox " + self->id_ +
                                                ": that its QMP proxy has passed " + command +
                                                " is not on record: " + failure.what());
    }
}

} // namespace kata_vfio::plugin
