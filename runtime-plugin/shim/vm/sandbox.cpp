// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/vm/sandbox.hpp"

#include "config/annotations.hpp"
#include "config/base/failure.hpp"
#include "config/load.hpp"
#include "config/uid_range.hpp"
#include "config/validate.hpp"
#include "runtime-plugin/shim/log.hpp"
#include "runtime-plugin/shim/ttrpc/status.hpp"
#include "runtime-plugin/shim/vm/initrd.hpp"
#include "runtime-plugin/shim/vm/mount.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/json/serialize.hpp>
#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <thread>
#include <utility>

namespace kata_vfio::shim {
namespace asio = boost::asio;
using asio::awaitable;
using std::chrono::milliseconds;
using std::chrono::seconds;
namespace {

/// For QEMU to be gone after the guest was told to switch off: measured below half a second.
constexpr milliseconds patience{3000};

ttrpc::Error stopped_early() {
    return {ttrpc::Code::unavailable, "the sandbox was stopped before it was up"};
}

} // namespace

Sandbox::Sandbox(asio::io_context& io, vfio::HostRoot root, Place place, std::string config_path)
    : io_(io), root_(std::move(root)), place_(std::move(place)),
      config_path_(std::move(config_path)), down_(io) {}

Sandbox::~Sandbox() {
    *alive_ = false;
}

Guest& Sandbox::guest() {
    if (!running_)
        throw ttrpc::Error(ttrpc::Code::unavailable,
                           "the sandbox does not run" + (end_.empty() ? "" : ": " + end_));
    return *guest_;
}

awaitable<void> Sandbox::boot(const oci::Spec& spec,
                              std::function<void(const std::string&)> on_death) {
    if (stopping_)
        throw ttrpc::Error(ttrpc::Code::failed_precondition, "this shim's sandbox has ended");
    on_death_ = std::move(on_death);
    hostname_ = spec.hostname;
    const auto file = config_path_.empty()
                          ? config::find(root_.root(), std::getenv("KATA_CONF_FILE"))
                          : std::filesystem::path(config_path_);
    config_path_ = file.native();
    configuration_ = config::load(file);
    config::apply_annotations(configuration_, spec.annotations);
    config::enforce(configuration_);
    log_with_debug(configuration_.runtime.enable_debug);
    for (const auto& warning : configuration_.warnings)
        log_warning("configuration", {{"text", warning.str()}});
    std::exception_ptr failed;
    booting_ = true;
    try {
        co_await start_machine(spec);
    } catch (...) {
        failed = std::current_exception();
    }
    booting_ = false;
    if (stopping_) // whatever came of it
        failed = std::make_exception_ptr(stopped_early());
    if (failed) {
        if (!std::exchange(stopping_, true))
            log_console();
        co_await tear_down();
        std::rethrow_exception(failed);
    }
    running_ = true;
    asio::co_spawn(io_, watch(*this, alive_), asio::detached);
}

awaitable<void> Sandbox::start_machine(const oci::Spec& spec) {
    plugin_ = std::make_unique<Plugin>(io_, config_path_, false);
    make_share(place_.mounts(), place_.shared());
    auto machine = machine_of(configuration_.hypervisor, oci::pod_size(spec.annotations),
                              std::thread::hardware_concurrency(),
                              ::access(root_.dev("kvm").c_str(), R_OK | W_OK) == 0);
    machine.name = "kata-vfio-" + place_.key();
    machine.monitor = place_.monitor();
    machine.share = place_.shared();
    auto monitor = place_.monitor();
    cgroup_ = HostCgroup(root_, spec.cgroups_path);
    if (!cgroup_.why_not().empty())
        log_info("QEMU stays in the shim's cgroup", {{"why", cgroup_.why_not()}});
    std::vector<UniqueFd> opened;
    if (machine.debug) {
        UniqueFd console;
        console_ = std::make_unique<Console>(io_, place_.at("console.log"), console);
        machine.console_fd = console.get();
        opened.push_back(std::move(console));
    }
    if (configuration_.hypervisor.rootless) {
        take_rights(machine);
        monitor = place_.workplace() / monitor.filename();
    }
    if (machine.virtio_fs)
        co_await serve_share(machine, opened);
    if (stopping_)
        throw stopped_early();
    const auto vsock = open_vsock(machine);
    const auto user = machine.user;
    UniqueFd port;
    qemu_ = std::make_unique<Qemu>(io_, std::move(machine), place_.at("qemu.log"), port);
    place_.remember("qemu.pid", qemu_->pid());
    allow_devices();
    try {
        cgroup_.take(qemu_->pid());
    } catch (const Failure& failure) {
        // It runs as well in its parent's; only who looks for it there does not find it.
        log_warning("QEMU stays in the shim's cgroup", {{"error", failure.what()}});
    }
    opened.clear();
    if (vsock)
        vsock->device_is_given();
    else
        guest_ = std::make_unique<Guest>(io_, std::move(port));
    std::exception_ptr ended;
    try {
        co_await qemu_->ready();
    } catch (const Failure&) {
        ended = std::current_exception();
    }
    // QEMU ends without it, and it without QEMU: whoever ended badly is the one to blame.
    if (ended && file_server_)
        co_await file_server_->ended().wait_for(seconds(1));
    if (ended && file_server_ && file_server_->failed())
        throw Failure(Errc::qemu_gone,
                      "virtiofsd ended before QEMU was up, " + file_server_->ended().value())
            .said(last_words(place_.at("virtiofsd.log")))
            .remedy("see that [hypervisor.qemu] virtio_fs_daemon and virtio_fs_extra_args are "
                    "right");
    if (ended)
        std::rethrow_exception(ended);
    if (user)
        place_.close_workplace(user->id);
    std::string key = place_.key(), socket = monitor.native();
    auto annotations = spec.annotations;
    // Before the guest is up: a pod that asks for what is not to be had fails at once.
    const auto own =
        co_await plugin_->open(std::move(key), std::move(socket), std::move(annotations));
    if (vsock)
        co_await meet_agent(*vsock);
    const auto hello = co_await guest_->hello(seconds(configuration_.agent.dial_timeout));
    log_info("the sandbox is up", {{"kernel", hello.kernel}, {"sandbox", place_.key()}});
    for (const auto& one : own) {
        Plugin::Attached device = one;
        co_await await_device(std::move(device));
        own_addresses_.push_back(one.guest_address);
    }
}

void Sandbox::allow_devices() noexcept {
    try {
        cgroup_.allow(qemu_devices(root_));
    } catch (const std::exception& error) {
        // A host whose kernel has no such rules, or a shim that may not set them.
        log_warning("QEMU may open any device of the host", {{"error", error.what()}});
    }
}

std::unique_ptr<Vsock> Sandbox::open_vsock(Machine& machine) {
    if (!configuration_.hypervisor.use_vsock)
        return nullptr;
    std::string why = "its kernel is not known to have vsock: the initrd does not say so";
    try {
        if (!machine.initrd.empty() && initrd_has_vsock(machine.initrd)) {
            auto vsock = std::make_unique<Vsock>(io_, root_);
            machine.vsock_fd = vsock->device();
            machine.vsock_cid = vsock->cid();
            machine.vsock_port = vsock->port();
            return vsock;
        }
    } catch (const Failure& failure) {
        why = failure.what();
    }
    log_debug("the guest's agent comes by virtio-serial", {{"why", why}});
    return nullptr;
}

awaitable<void> Sandbox::meet_agent(Vsock& vsock) {
    using namespace asio::experimental::awaitable_operators;
    const seconds limit(configuration_.agent.dial_timeout);
    asio::steady_timer timer(io_, limit);
    auto first =
        co_await (vsock.accept() || qemu_->ended().wait() || timer.async_wait(asio::use_awaitable));
    constexpr auto kernel = "; if the guest's kernel has no vsock, write use_vsock = false in "
                            "[hypervisor.qemu]";
    if (first.index() == 1)
        throw ttrpc::Error(ttrpc::Code::unavailable,
                           "the guest did not come up: QEMU ended, " + std::get<1>(first) + kernel);
    if (first.index() == 2)
        throw ttrpc::Error(ttrpc::Code::deadline_exceeded,
                           "the guest's agent did not come by vsock within " +
                               std::to_string(limit.count()) +
                               " s ([agent.kata] dial_timeout); enable_debug of [hypervisor.qemu] "
                               "keeps the guest's console" +
                               kernel);
    auto connection = std::get<0>(std::move(first));
    if (!connection)
        throw host_failure(vsock.reason(), "can't accept the agent's connection");
    guest_ = std::make_unique<Guest>(io_, std::move(connection));
    log_debug("the guest's agent comes by vsock", {{"cid", std::to_string(vsock.cid())}});
}

awaitable<void> Sandbox::serve_share(Machine& machine, std::vector<UniqueFd>& opened) {
    UniqueFd share;
    file_server_ =
        co_await FileServer::start(io_, configuration_.hypervisor, place_, cgroup_, share);
    place_.remember("virtiofsd.pid", file_server_->pid());
    machine.share_fd = share.get();
    opened.push_back(std::move(share));
}

void Sandbox::take_rights(Machine& machine) {
    const auto range = config::parse_uid_range(configuration_.vfio.rootless_uids);
    machine.user = take_user(root_, place_, range.value(), machine.kvm);
    place_.open_workplace(machine.user->id);
    machine.workplace = place_.workplace();
    machine.monitor = machine.monitor.filename(); // it may not look into what is above it
}

awaitable<void> Sandbox::watch(Sandbox& self, std::shared_ptr<bool> alive) {
    using namespace asio::experimental::awaitable_operators;
    auto ended = self.qemu_->ended();
    auto lost = self.guest_->lost();
    // With virtio-9p there is none, and its end never comes.
    auto unserved = self.file_server_ ? self.file_server_->ended() : Future<std::string>(self.io_);
    co_await (ended.wait() || lost.wait() || unserved.wait());
    if (!*alive || self.stopping_)
        co_return;
    self.stopping_ = true;
    self.running_ = false;
    // The port closes, and the file server ends, a moment before QEMU has ended, which knows why;
    // and QEMU does not end with its file server.
    const bool unserved_first = self.file_server_ && self.file_server_->failed();
    if (!ended.ready() && !unserved_first && !self.guest_->broke_protocol()) {
        co_await ended.wait_for(seconds(2));
        if (!*alive)
            co_return;
    }
    auto why = ended.ready() && !unserved_first ? "QEMU ended, " + ended.value()
               : unserved.ready() ? "virtiofsd, which served its files, ended, " + unserved.value()
                                  : lost.value();
    if (unserved_first)
        log_error("virtiofsd ended", {{"said", last_words(self.place_.at("virtiofsd.log"))}});
    // On a busy host it takes its time to end; that it does, and why, it has said before.
    if (!ended.ready() && !self.qemu_->said().empty())
        why += "; " + self.qemu_->said();
    self.end_ = why;
    log_error("the sandbox is gone",
              {{"why", why}, {"qemu_said", last_words(self.place_.at("qemu.log"))}});
    self.log_console();
    // What the guest can't be trusted to keep to any more, it is not left to go on with.
    self.qemu_->kill();
    co_await ended.wait_for(seconds(10));
    if (!*alive)
        co_return;
    log_info("QEMU has ended", {{"how", ended.ready() ? ended.value() : "not yet"}});
    self.on_death_(why);
    co_await self.tear_down();
}

awaitable<void> Sandbox::stop() {
    if (stopping_) {
        // Its machine has died, and its end is under way already: a caller that goes on ends the
        // process, and with it the giving back.
        co_await down_.wait();
        co_return;
    }
    stopping_ = true;
    if (booting_) {
        // What has been started is in the hands of boot(), which goes no further, and gives it
        // back.
        if (qemu_)
            qemu_->kill();
        co_await down_.wait();
        co_return;
    }
    if (std::exchange(running_, false)) {
        try {
            agent::Call call = agent::PowerOff();
            const auto last = co_await guest_->call(std::move(call), seconds(1));
            log_debug("the guest switches itself off", {{"agent", boost::json::serialize(last)}});
            co_await qemu_->ended().wait_for(patience);
        } catch (const ttrpc::Error& error) {
            log_warning("the guest was not told to switch off", {{"error", error.what()}});
        }
    }
    co_await tear_down();
}

void Sandbox::log_console() {
    const auto text = console_ ? console_->end() : "";
    if (!text.empty())
        log_error("the guest's console, its end", {{"text", text}});
}

void Sandbox::kill() noexcept {
    if (running_)
        qemu_->kill();
}

awaitable<void> Sandbox::tear_down() {
    // guest_ stays, of no use to anybody: streams of tasks have it until they are told of the end.
    if (qemu_)
        co_await qemu_->stop(patience);
    if (file_server_) {
        // It ends with its connection to QEMU.
        co_await file_server_->ended().wait_for(patience);
        file_server_.reset();
    }
    if (plugin_) {
        try {
            std::string key = place_.key();
            co_await plugin_->release(std::move(key));
        } catch (const Failure& failure) {
            log_error("devices are not given back; kata-vfio reconcile tries again",
                      {{"error", failure.what()}});
        }
    }
    cgroup_.remove();
    try {
        unmount_below(root_, place_.directory());
    } catch (const Failure& failure) {
        log_error("what is mounted for the guest is left", {{"error", failure.what()}});
    }
    added_.clear();
    down_.set(true);
}

} // namespace kata_vfio::shim
