// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/vm/child.hpp"

#include "config/base/failure.hpp"
#include "runtime-plugin/kernel/capability_sets.hpp"
#include "runtime-plugin/kernel/system_error.hpp"
#include "vfio/host_root.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <fcntl.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
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

void raise_memlock(rlim_t bytes) {
    // An administrator's larger limit stays.
    rlimit now{};
    const rlimit limit{bytes, bytes};
    if (::getrlimit(RLIMIT_MEMLOCK, &now) == 0 && now.rlim_cur < bytes)
        ::setrlimit(RLIMIT_MEMLOCK, &limit);
}

void become(const QemuUser& user) {
    const std::vector<gid_t> groups(user.groups.begin(), user.groups.end());
    must(::setgroups(groups.size(), groups.data()), "can't set groups");
    must(::setresgid(user.id, user.id, user.id), "can't set the group");
    must(::setresuid(user.id, user.id, user.id), "can't set the user");
}

[[noreturn]] void in_child(const Child::Plan& plan, int log) {
    std::vector<char*> args;
    for (const auto& word : plan.words)
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
    for (const int fd : plan.kept)
        ::fcntl(fd, F_SETFD, 0);
    if (plan.memlock > 0)
        raise_memlock(plan.memlock);
    const auto say = [](const std::exception& error) {
        [[maybe_unused]] auto written = ::write(2, error.what(), std::strlen(error.what()));
    };
    try {
        if (plan.cgroup)
            plan.cgroup->take(::getpid());
    } catch (const std::exception& error) {
        say(error); // it runs as well in its parent's
    }
    try {
        if (!plan.directory.empty())
            must(::chdir(plan.directory.c_str()), "can't work in " + plan.directory.native());
        bound_capabilities(plan.capabilities);
        if (plan.user)
            become(*plan.user);
        ::execv(args[0], args.data());
        throw SystemError("can't run " + plan.words[0], errno);
    } catch (const std::exception& error) {
        say(error);
    }
    ::_exit(127);
}

std::string how(int status) {
    if (WIFSIGNALED(status))
        return "killed by signal " + std::to_string(WTERMSIG(status));
    return "exit status " + std::to_string(WEXITSTATUS(status));
}

} // namespace

Child::Child(asio::io_context& io, const Plan& plan) : ended_(io) {
    std::array<int, 2> ends{-1, -1};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
        throw Failure(Errc::internal, "can't start " + plan.words[0]).sys(errno);
    UniqueFd said(ends[1]);
    const auto words = PipeLog::start(io, UniqueFd(ends[0]), plan.log);
    const pid_t pid = ::fork();
    if (pid < 0)
        throw Failure(Errc::internal, "can't start " + plan.words[0]).sys(errno);
    if (pid == 0)
        in_child(plan, said.get());
    pid_ = pid;
    pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    UniqueFd watched(pidfd_ ? ::fcntl(pidfd_.get(), F_DUPFD_CLOEXEC, 0) : -1);
    if (!watched) {
        const int reason = errno;
        kill();
        ::waitpid(pid_, nullptr, 0);
        throw Failure(Errc::internal, "can't watch " + plan.words[0]).sys(reason);
    }
    asio::co_spawn(io, watch(io, watched.release(), pid_, ended_, words), asio::detached);
}

Child::~Child() {
    if (ended_.ready())
        return;
    kill();
    ::waitpid(pid_, nullptr, 0);
}

awaitable<void> Child::watch(asio::io_context& io, int pidfd, pid_t pid, Future<std::string> ended,
                             std::shared_ptr<PipeLog> words) {
    asio::posix::stream_descriptor process(io, pidfd);
    co_await process.async_wait(asio::posix::stream_descriptor::wait_read,
                                asio::as_tuple(asio::use_awaitable));
    int status = 0;
    // ECHILD: the destructor was quicker.
    const bool known = ::waitpid(pid, &status, 0) == pid;
    // Not to the pipe's end: a process of the program's own may have it open, and live on.
    words->take();
    words->close();
    ended.set(known ? how(status) : "killed");
}

void Child::kill() noexcept {
    // A child that was not waited for yet: the pid is nobody else's.
    if (!ended_.ready())
        ::kill(pid_, SIGKILL);
}

} // namespace kata_vfio::shim
