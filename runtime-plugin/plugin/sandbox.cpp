// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/sandbox.hpp"

#include "config/annotations.hpp"
#include "config/validate.hpp"
#include "qemu/machine.hpp"
#include "runtime-plugin/plugin/crash_point.hpp"
#include "runtime-plugin/plugin/host_picture.hpp"
#include "runtime-plugin/plugin/journal.hpp"
#include "runtime-plugin/plugin/lock_watch.hpp"
#include "runtime-plugin/plugin/process.hpp"
#include "runtime-plugin/plugin/qemu_owner.hpp"
#include "runtime-plugin/plugin/sandbox_locked.hpp"

#include <boost/asio/this_coro.hpp>
#include <unistd.h>

namespace kata_vfio::plugin {
namespace asio = boost::asio;

Sandbox::Sandbox(Context& context, std::string id)
    : context_(context), id_(std::move(id)), turnstile_(context.io.get_executor()) {}

asio::awaitable<Sandbox::Locked> Sandbox::lock() {
    auto turn = co_await turnstile_.enter();
    auto held = context_.state.lock_sandbox(id_);
    auto state = known_.load(context_.state.sandbox(id_));
    if (!state) {
        // Released meanwhile: taking the lock has made its directory again.
        context_.state.remove_sandbox(id_);
        throw Failure(Errc::sandbox_not_found, "sandbox " + id_ + " is not known here")
            .remedy("open it first: kata-vfio sandbox open " + id_ + " --qmp SOCKET");
    }
    co_return Locked(std::move(turn), std::move(held), std::move(*state));
}

asio::awaitable<Sandbox::Locked> Sandbox::lock_when_free() {
    for (bool told = false;; told = true) {
        LockWatch watch(context_.io.get_executor(), context_.state.sandbox(id_) / "lock");
        try {
            auto locked = co_await lock();
            co_return locked;
        } catch (const Failure& failure) {
            if (failure.code() != Errc::sandbox_busy || !watch.armed())
                throw;
            if (!told)
                context_.log(LogLevel::info, "sandbox " + id_ + " waits: " + failure.what());
        }
        watch.forget();
        if (!context_.state.sandbox_locked(id_))
            continue;
        waits_.insert(&watch);
        std::exception_ptr ended;
        try {
            if (!closing_)
                co_await watch.changed();
        } catch (...) {
            ended = std::current_exception();
        }
        waits_.erase(&watch);
        if (closing_)
            throw Failure(Errc::cancelled, "the sandbox was closed while another process had it");
        if (ended)
            std::rethrow_exception(ended);
    }
}

void Sandbox::end_waits() {
    closing_ = true;
    for (auto* each : waits_)
        each->cancel();
}

asio::awaitable<void> Sandbox::open(const OpenRequest& request, const Caller& caller) {
    auto qmp_socket = request.qmp_socket;
    auto annotations = request.annotations;
    auto turn = co_await turnstile_.enter();
    const auto directory = context_.state.sandbox(id_);
    auto remembered = load_state(directory);
    const bool asked_anew = !annotations.empty();
    if (!asked_anew && remembered)
        annotations = remembered->annotations;

    effective_ = context_.config.vfio;
    try {
        if (context_.config_refused)
            throw Failure(*context_.config_refused);
        auto configuration = context_.config;
        config::apply_annotations(configuration, annotations);
        config::enforce(configuration);
        effective_ = configuration.vfio;
    } catch (const Failure& refused) {
        // What was attached under an earlier configuration must still be detachable under this. But
        // refused annotations are never taken into the state: they would keep refusing.
        if (asked_anew || !remembered ||
            (remembered->attachments.empty() && !read_journal(directory)))
            throw;
        policy_ = refused;
        context_.log(LogLevel::warning, "sandbox " + id_ +
                                            " is open for giving devices back only, an attach is "
                                            "refused: " +
                                            refused.what());
    }

    if (!remembered && qmp_socket.empty())
        throw Failure(Errc::sandbox_not_found, "sandbox " + id_ + " is not known here")
            .remedy("open it with the path of its QMP socket: kata-vfio sandbox open " + id_ +
                    " --qmp SOCKET");
    const auto require_same_qemu = [&] {
        if (!remembered || qmp_socket == remembered->qmp_socket || remembered->attachments.empty())
            return;
        throw Failure(Errc::invalid_argument,
                      "sandbox " + id_ + " is remembered with another QMP socket")
            .blocked_by(std::to_string(remembered->attachments.size()) +
                        " attachments in the QEMU at " + remembered->qmp_socket)
            .remedy("release the sandbox first: kata-vfio sandbox release " + id_);
    };
    if (!qmp_socket.empty())
        require_same_qemu();
    else
        qmp_socket = remembered->qmp_socket;
    if (!qmp_socket.starts_with('/'))
        throw Failure(Errc::invalid_argument,
                      "the QMP socket's path is not absolute: " + qmp_socket)
            .remedy("give the path as QEMU's -qmp unix:PATH has it");

    const auto owner_start = start_time(context_.root, request.owner_pid).value_or(0);
    if (request.owner_pid > 0 && owner_start == 0)
        throw Failure(Errc::invalid_argument,
                      "the owner, pid " + std::to_string(request.owner_pid) + ", does not run")
            .remedy("give the pid of the process that the sandbox belongs to, as this process sees "
                    "it");
    std::vector<Due> due;
    if (!policy_)
        due = own_devices();

    co_await connect(qmp_socket);
    const auto machine = co_await qemu::require_pc_machine(*monitor_->session());
    crash_point(CrashPoint::open_connected);

    auto host_lock = context_.state.lock();
    {
        SandboxState asked = remembered.value_or(SandboxState{});
        asked.id = id_;
        asked.qmp_socket = qmp_socket;
        identify_qemu(asked);
        refuse_second_sandbox(context_.state, asked);
    }
    const auto held = context_.state.lock_sandbox(id_);
    crash_point(CrashPoint::open_locked);
    context_.state.clear_temporaries(id_);
    // Read again: QEMU serves one client, and the one that had the monitor while we waited for it
    // may have attached and detached.
    remembered = load_state(directory);
    require_same_qemu();
    SandboxState state = remembered.value_or(SandboxState{});
    state.id = id_;
    state.qmp_socket = qmp_socket;
    state.machine = machine;
    state.annotations = std::move(annotations);
    identify_qemu(state);
    if (request.owner_pid > 0) {
        state.owner_pid = request.owner_pid;
        state.owner_start = owner_start;
    }
    if (!remembered)
        state.due = due;
    // Where the QEMU of before is dead, what it had is not in this one.
    if (remembered && look_at_qemu(context_.root, *remembered).life == QemuLife::gone)
        for (auto& attachment : state.attachments)
            attachment.unplugged = true;
    try {
        save(state);
    } catch (...) {
        if (!remembered)
            context_.state.remove_sandbox(id_);
        throw;
    }
    host_lock.release();
    remember_process(state);
    crash_point(CrashPoint::open_recorded);
    co_await recover(state, caller);
    co_await settle(state, Patience::looks, caller);
    crash_point(CrashPoint::open_recovered);
    if (!policy_) {
        std::exception_ptr refused;
        try {
            co_await take_own(state, caller);
        } catch (...) {
            refused = std::current_exception();
        }
        // One that was opened before must open all the same, if only to give back what it has.
        const bool again = remembered && refused && code_of(refused) != Errc::cancelled;
        if (again)
            context_.log(LogLevel::warning,
                         "sandbox " + id_ + ": its own devices: " + failure_from(refused).what());
        if (refused && !remembered)
            co_await take_back_own(state, caller);
        if (refused && !again)
            std::rethrow_exception(refused);
    }
    has_own_ = state.has_own();
    watch_owner(state);
    serve_proxy();
}

void Sandbox::identify_qemu(SandboxState& state) const {
    // A host that made the listening socket itself and passed it to QEMU is not what to wait for.
    const auto peer = monitor_->session()->peer_pid();
    // And a pid without its start time may be anybody's tomorrow: then neither is known.
    state.qemu_start = start_time(context_.root, peer).value_or(0);
    state.qemu_pid = peer == ::getpid() || state.qemu_start == 0 ? 0 : peer;
    if (state.qemu_pid == 0)
        state.qemu_start = 0;
}

void Sandbox::watch_owner(const SandboxState& state) {
    if (state.owner_pid > 0 && state.owner_pid != ::getpid())
        context_.pending.add(id_, "owner of " + id_, std::nullopt,
                             PendingOn{state.owner_pid, state.owner_start, ""});
}

void Sandbox::progress(std::uint64_t ticket, const std::string& text) const {
    context_.event(EventKind::step, id_, ticket, text);
    context_.log(LogLevel::info, "sandbox " + id_ + ": " + text);
}

void Sandbox::close() {
    proxy_.reset();
    if (monitor_)
        monitor_->close();
    monitor_.reset();
}

} // namespace kata_vfio::plugin
