// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/vm/qemu.hpp"

#include "config/base/failure.hpp"
#include "qemu/machine_end.hpp"
#include "qemu/qmp/command.hpp"
#include "runtime-plugin/shim/log.hpp"
#include "runtime-plugin/shim/vm/privileges.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <exception>

namespace kata_vfio::shim {
namespace asio = boost::asio;
using asio::awaitable;
namespace {

struct Pair {
    UniqueFd ours, theirs;
};
Pair socket_pair() {
    std::array<int, 2> fds{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) != 0)
        throw Failure(Errc::internal, "can't make a socket pair").sys(errno);
    return Pair{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

} // namespace

Qemu::Qemu(asio::io_context& io, Machine machine, const std::filesystem::path& log, UniqueFd& agent)
    : log_(log), user_(machine.user), said_(std::make_shared<Said>(io)), ended_(io) {
    auto monitor = socket_pair();
    auto port = machine.vsock_fd < 0 ? socket_pair() : Pair();
    machine.monitor_fd = monitor.theirs.get();
    machine.agent_fd = port.theirs.get();
    Child::Plan plan;
    plan.words = command_line(machine);
    plan.log = log;
    for (const int fd : {machine.monitor_fd, machine.agent_fd, machine.vsock_fd, machine.share_fd,
                         machine.console_fd})
        if (fd >= 0)
            plan.kept.push_back(fd);
    plan.memlock = memlock_bytes(machine);
    plan.capabilities = machine.user || machine.virtio_fs ? 0 : qemu_capabilities();
    plan.user = machine.user;
    plan.directory = machine.workplace;
    child_ = std::make_unique<Child>(io, plan);
    monitor_fd_ = std::move(monitor.ours);
    agent = std::move(port.ours);
    asio::co_spawn(io, watch(child_->ended(), said_, ended_), asio::detached);
}

Qemu::~Qemu() {
    if (monitor_)
        monitor_->close();
    said_->over.set(true);
}

awaitable<void> Qemu::watch(Future<std::string> child, std::shared_ptr<Said> said,
                            Future<std::string> ended) {
    co_await child.wait();
    // Its last event may still be on its socket, which ends with it.
    if (said->connected)
        co_await said->over.wait_for(std::chrono::seconds(1));
    ended.set(child.value() + (said->end.empty() ? "" : ": " + said->end));
}

awaitable<void> Qemu::ready() {
    std::exception_ptr failed;
    try {
        // Of a busy host; that it has ended is known at once.
        qemu::Timeouts timeouts;
        timeouts.greeting = std::chrono::seconds(30);
        monitor_ = co_await qemu::Session::from_fd(std::move(monitor_fd_), timeouts);
    } catch (const Failure&) {
        failed = std::current_exception();
    }
    if (!failed) {
        said_->connected = true;
        monitor_->on_event([said = said_](const qemu::Event& event) {
            if (said->end.empty())
                said->end = qemu::machine_end(event);
        });
        monitor_->on_lost([said = said_](const Failure&) { said->over.set(true); });
        co_return;
    }
    // Its socket closes a moment before it has ended.
    const auto end = co_await child_->ended().wait_for(std::chrono::seconds(2));
    if (!end)
        std::rethrow_exception(failed);
    throw Failure(Errc::qemu_gone, "QEMU ended before it was up, " + *end)
        .said(last_words(log_))
        .remedy("see that [hypervisor.qemu] path, kernel and initrd are right" +
                (user_ ? ", and that user " + std::to_string(user_->id) + " may read them"
                       : std::string()));
}

awaitable<void> Qemu::stop(std::chrono::milliseconds patience) {
    if (child_->ended().ready())
        co_return;
    if (monitor_ && monitor_->running()) {
        try {
            qemu::Command quit = qemu::Command("quit");
            co_await monitor_->execute(std::move(quit));
        } catch (const std::exception& error) {
            log_debug("QEMU does not take quit", {{"error", error.what()}});
        }
    }
    co_await child_->ended().wait_for(patience);
    if (child_->ended().ready())
        co_return;
    log_warning("QEMU did not end by itself and is killed", {});
    kill();
    co_await child_->ended().wait_for(std::chrono::seconds(10));
}

} // namespace kata_vfio::shim
