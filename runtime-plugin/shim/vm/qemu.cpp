// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/vm/qemu.hpp"

#include "config/base/failure.hpp"
#include "config/base/file.hpp"
#include "config/base/text.hpp"
#include "qemu/qmp/command.hpp"
#include "runtime-plugin/kernel/capability_sets.hpp"
#include "runtime-plugin/kernel/system_error.hpp"
#include "runtime-plugin/shim/log.hpp"
#include "runtime-plugin/shim/vm/machine_end.hpp"
#include "runtime-plugin/shim/vm/privileges.hpp"
#include "vfio/host_root.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
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

void in_child(const std::vector<std::string>& words, int log, std::initializer_list<int> kept,
              rlim_t memlock) {
    std::vector<char*> args;
    for (const auto& word : words)
        args.push_back(const_cast<char*>(word.c_str()));
    args.push_back(nullptr);
    ::setsid();
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::signal(SIGPIPE, SIG_DFL);
    const int nothing = ::open(vfio::HostRoot().dev("null").c_str(), O_RDONLY);
    ::dup2(nothing, 0);
    ::dup2(log, 1);
    ::dup2(log, 2);
    for (const int fd : kept)
        ::fcntl(fd, F_SETFD, 0);
    rlimit limit{memlock, memlock};
    // An administrator's larger limit stays.
    rlimit now{};
    if (::getrlimit(RLIMIT_MEMLOCK, &now) == 0 && now.rlim_cur < memlock)
        ::setrlimit(RLIMIT_MEMLOCK, &limit);
    try {
        bound_capabilities(qemu_capabilities());
        ::execv(args[0], args.data());
        throw SystemError("can't run " + words[0], errno);
    } catch (const std::exception& error) {
        [[maybe_unused]] auto written = ::write(2, error.what(), std::strlen(error.what()));
    }
    ::_exit(127);
}

std::string how(int status) {
    if (WIFSIGNALED(status))
        return "killed by signal " + std::to_string(WTERMSIG(status));
    return "exit status " + std::to_string(WEXITSTATUS(status));
}

std::string end_of(const std::filesystem::path& log) {
    std::string text;
    try {
        text = read_file(log).value_or("");
    } catch (const Failure&) {
    }
    return std::string(trim(text.size() > 1000 ? text.substr(text.size() - 1000) : text));
}

} // namespace

Qemu::Qemu(asio::io_context& io, Machine machine, const std::filesystem::path& log, UniqueFd& agent)
    : io_(io), log_(log), said_(std::make_shared<Said>(io)), ended_(io) {
    auto monitor = socket_pair();
    auto port = socket_pair();
    machine.monitor_fd = monitor.theirs.get();
    machine.agent_fd = port.theirs.get();
    const auto words = command_line(machine);
    const UniqueFd file(::open(log.c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600));
    if (!file)
        throw host_failure(errno, "can't write " + log.native());
    const pid_t pid = ::fork();
    if (pid < 0)
        throw Failure(Errc::internal, "can't start QEMU").sys(errno);
    if (pid == 0)
        in_child(words, file.get(), {monitor.theirs.get(), port.theirs.get()},
                 memlock_bytes(machine));
    pid_ = pid;
    pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!pidfd_) {
        const int reason = errno;
        kill();
        ::waitpid(pid_, nullptr, 0);
        throw Failure(Errc::internal, "can't watch QEMU").sys(reason);
    }
    monitor_fd_ = std::move(monitor.ours);
    agent = std::move(port.ours);
    asio::co_spawn(io_, watch(io_, ::fcntl(pidfd_.get(), F_DUPFD_CLOEXEC, 0), pid_, said_, ended_),
                   asio::detached);
}

Qemu::~Qemu() {
    if (monitor_)
        monitor_->close();
    said_->over.set(true);
    if (ended_.ready())
        return;
    kill();
    ::waitpid(pid_, nullptr, 0);
}

awaitable<void> Qemu::watch(asio::io_context& io, int pidfd, pid_t pid, std::shared_ptr<Said> said,
                            Future<std::string> ended) {
    asio::posix::stream_descriptor process(io, pidfd);
    co_await process.async_wait(asio::posix::stream_descriptor::wait_read,
                                asio::as_tuple(asio::use_awaitable));
    int status = 0;
    // ECHILD: the destructor was quicker.
    const bool known = ::waitpid(pid, &status, 0) == pid;
    // Its last event may still be on its socket, which ends with it.
    if (said->connected)
        co_await said->over.wait_for(std::chrono::seconds(1));
    ended.set((known ? how(status) : "killed") + (said->end.empty() ? "" : ": " + said->end));
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
                said->end = machine_end(event);
        });
        monitor_->on_lost([said = said_](const Failure&) { said->over.set(true); });
        co_return;
    }
    // Its socket closes a moment before it has ended.
    const auto end = co_await ended_.wait_for(std::chrono::seconds(2));
    if (!end)
        std::rethrow_exception(failed);
    throw Failure(Errc::qemu_gone, "QEMU ended before it was up, " + *end)
        .said(last_words())
        .remedy("see that [hypervisor.qemu] path, kernel and initrd are right");
}

awaitable<void> Qemu::stop(std::chrono::milliseconds patience) {
    if (ended_.ready())
        co_return;
    if (monitor_ && monitor_->running()) {
        try {
            qemu::Command quit = qemu::Command("quit");
            co_await monitor_->execute(std::move(quit));
        } catch (const std::exception& error) {
            log_debug("QEMU does not take quit", {{"error", error.what()}});
        }
    }
    co_await ended_.wait_for(patience);
    if (ended_.ready())
        co_return;
    log_warning("QEMU did not end by itself and is killed", {});
    kill();
    co_await ended_.wait_for(std::chrono::seconds(10));
}

std::string Qemu::last_words() const {
    return end_of(log_);
}

void Qemu::kill() noexcept {
    // A child that was not waited for yet: the pid is nobody else's.
    if (!ended_.ready())
        ::kill(pid_, SIGKILL);
}

} // namespace kata_vfio::shim
