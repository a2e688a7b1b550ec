// SPDX-License-Identifier: Apache-2.0
// The sandbox's connection to its QEMU, and what becomes of it when it is lost.
#include "qemu/machine_end.hpp"
#include "qemu/wire_log/wire_log.hpp"
#include "runtime-plugin/plugin/process.hpp"
#include "runtime-plugin/plugin/qmp_log.hpp"
#include "runtime-plugin/plugin/sandbox.hpp"

#include <unistd.h>

namespace kata_vfio::plugin {
namespace asio = boost::asio;
namespace {

/// "DEVICE_DELETED of vfio-83b8f4f2, RESUME"
std::string list_events(const std::vector<qemu::Event>& events) {
    std::string text;
    for (const auto& event : events) {
        if (!text.empty())
            text += ", ";
        text += event.name;
        if (const auto device = event.text("device"); !device.empty())
            text += " of " + std::string(device);
    }
    return text;
}

} // namespace

void Sandbox::tell_monitor(LogLevel level, const std::string& text) const {
    context_.event(EventKind::monitor, id_, 0, text);
    context_.log(level, "sandbox " + id_ + ": " + text);
}

asio::awaitable<qemu::Monitor::Connection> Sandbox::make_connection(std::string qmp_socket) {
    qemu::Monitor::Connection connection;
    const auto log = start_qmp_log(context_, id_, qmp_socket);
    connection.session = co_await qemu::connect_logged(log, qmp_socket, context_.qmp_timeouts);
    if (log) {
        connection.lost = [log](const Failure& why) { log->lost(why); };
        connection.synthesised = [log](const qemu::Event& event) { log->synthesised(event); };
    }
    // What another QEMU on the same path has is no answer about the one we had.
    const auto peer = connection.session->peer_pid();
    if (monitor_ && qemu_pid_ != 0 && peer != 0 && peer != ::getpid() && peer != qemu_pid_)
        throw Failure(Errc::qemu_gone, "another process, pid " + std::to_string(peer) +
                                           ", listens on " + qmp_socket + " now")
            .remedy("release the sandbox, then open it anew for that QEMU");
    co_return connection;
}

qemu::Monitor::Hooks Sandbox::monitor_hooks() {
    // Weak: the monitor is this sandbox's, and its own pending work may outlive it.
    qemu::Monitor::Hooks hooks;
    hooks.event = [weak = weak_from_this()](const qemu::Event& event) {
        const auto self = weak.lock();
        if (!self)
            return;
        if (const auto in_order = qemu::ends_in_order(event))
            self->ends_in_order_ = *in_order;
        if (event.name == "DEVICE_DELETED" && self->bus_)
            self->bus_->take(event.text("device"));
        if (event.name == "RESUME" && self->awaits_guest_)
            self->context_.wake(self->id_);
        if (event.synthesised && self->proxy_)
            self->proxy_->publish(event);
    };
    hooks.lost = [weak = weak_from_this()](const Failure& why) {
        const auto self = weak.lock();
        if (!self)
            return;
        self->bus_.reset();
        if (self->proxy_)
            self->proxy_->hold();
        self->lost_ = why;
        self->tell_monitor(self->end_level(), std::string(why.what()) + "; connecting again");
    };
    hooks.back = [weak = weak_from_this()](const std::vector<qemu::Event>& missed) {
        const auto self = weak.lock();
        if (!self)
            return;
        self->ends_in_order_ = false;
        self->bus_ = self->monitor_->last_known().bus;
        if (self->awaits_guest_)
            self->context_.wake(self->id_);
        self->attach_proxy();
        const auto state = self->monitor_->last_known().state.status;
        self->tell_monitor(LogLevel::info,
                           "connected again to QEMU's monitor; the guest is " + state + "; " +
                               (missed.empty() ? std::string("nothing was missed")
                                               : "meanwhile: " + list_events(missed)));
    };
    hooks.given_up = [weak = weak_from_this()](const Failure& why) {
        if (const auto self = weak.lock())
            self->gave_up(why);
    };
    hooks.state = [weak = weak_from_this()](qemu::SessionState state, const std::string& text) {
        if (const auto self = weak.lock())
            self->tell_monitor(state == qemu::SessionState::unresponsive ? LogLevel::warning
                                                                         : LogLevel::info,
                               text);
    };
    hooks.process_gone = [weak = weak_from_this()] {
        const auto self = weak.lock();
        return self && self->qemu_pid_ != 0 &&
               !lives(self->context_.root, self->qemu_pid_, self->qemu_start_);
    };
    return hooks;
}

LogLevel Sandbox::end_level() const noexcept {
    return ends_in_order_ ? LogLevel::info : LogLevel::warning;
}

void Sandbox::gave_up(const Failure& why) {
    if (proxy_)
        proxy_->give_up();
    if (!qemu::says_gone(why.code())) {
        tell_monitor(LogLevel::warning, std::string("not connected again for now, the next call "
                                                    "tries: ") +
                                            why.what());
        return;
    }
    // How it ended says more than that nobody is there any more.
    const std::string how = lost_ ? lost_->what() : why.what();
    context_.event(EventKind::qemu_gone, id_, 0, how);
    context_.log(end_level(), "sandbox " + id_ + ": QEMU is gone: " + how);
    if (has_own_)
        context_.wake(id_);
}

void Sandbox::remember_process(const SandboxState& state) {
    qemu_pid_ = state.qemu_pid;
    qemu_start_ = state.qemu_start;
    unrestricted_ = false;
    // Here once, and not at each attach: by its first answer QEMU has changed to its user (-runas).
    qemu_user_ = read_credentials(context_.root, qemu_pid_);
    if (qemu_user_ && qemu_user_->overrides)
        qemu_user_.reset();
}

asio::awaitable<void> Sandbox::connect(const std::string& qmp_socket) {
    bus_.reset();
    capabilities_.reset();
    kvm_.reset();
    iommufd_added_ = false;
    ends_in_order_ = false;
    if (monitor_)
        monitor_->close();
    monitor_.reset();
    qemu::ReconnectLimits limits;
    limits.total = context_.qmp_timeouts.reconnect;
    auto make = [weak = weak_from_this(),
                 qmp_socket]() -> asio::awaitable<qemu::Monitor::Connection> {
        const auto self = weak.lock();
        if (!self)
            throw Failure(Errc::cancelled, "the sandbox was closed");
        auto connection = co_await self->make_connection(qmp_socket);
        co_return connection;
    };
    qemu::Monitor::Connect connect = std::move(make);
    auto hooks = monitor_hooks();
    monitor_ = co_await qemu::Monitor::open(std::move(connect), std::move(hooks), limits);
    attach_proxy();
}

asio::awaitable<void> Sandbox::require_connection() {
    if (connected())
        co_return;
    std::optional<Failure> why;
    try {
        if (const auto monitor = monitor_) // a close() meanwhile must not take it away
            co_await monitor->ready();
        else
            why = Failure(Errc::qemu_gone, "the sandbox has no connection");
    } catch (const Failure& failure) {
        why = failure;
    }
    if (!why)
        co_return;
    if (!qemu::says_gone(why->code()))
        throw why->during("connecting again to sandbox " + id_ + "'s QEMU");
    throw Failure(Errc::qemu_gone, "the connection to sandbox " + id_ + "'s QEMU is lost")
        .said(why->problem())
        .remedy("release the sandbox, or open it again if its QEMU still runs");
}

asio::awaitable<bool> Sandbox::connect_if_alive(const SandboxState& state) {
    if (connected())
        co_return true;
    try {
        if (const auto monitor = monitor_)
            co_await monitor->ready();
        else
            co_await connect(state.qmp_socket);
        co_return true;
    } catch (const Failure& failure) {
        // No socket, or nobody listening on it: QEMU is gone and its devices with it. Anything else
        // (busy, not answering) says that it may well hold them.
        if (!qemu::says_gone(failure.code()))
            throw;
    }
    co_return false;
}

} // namespace kata_vfio::plugin
