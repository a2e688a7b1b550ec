// SPDX-License-Identifier: Apache-2.0
#include "vfio/helper_process.hpp"

#include "config/base/failure.hpp"

#include <linux/sched.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace kata_vfio::vfio {
namespace {

/// What the child sends through its pipe, followed by the text for a read.
struct Answer {
    int error;
    int at_open;
};

constexpr std::size_t most_text = 4096; // an attribute is at most a page

// The child runs in a copy of one thread of a process that may have many: some other thread may
// have held any lock at that moment. So: raw system calls and local variables, nothing else, and
// none of the sanitizers' run-time in between.
#define KATA_VFIO_BARE                                                                             \
    __attribute__((noinline, no_sanitize("address"), no_sanitize("thread"),                        \
                   no_sanitize("undefined")))

KATA_VFIO_BARE void close_all_but(int keep) {
    bool done =
        keep == 0 || ::syscall(SYS_close_range, 0u, static_cast<unsigned>(keep - 1), 0) == 0;
    done = ::syscall(SYS_close_range, static_cast<unsigned>(keep + 1), ~0u, 0) == 0 && done;
    if (done)
        return;
    for (int fd = 0; fd < 65536; ++fd) // a kernel before 5.9
        if (fd != keep)
            ::syscall(SYS_close, fd);
}

[[noreturn]] KATA_VFIO_BARE void child_main(HelperJob job, int answer_fd) {
    ::syscall(SYS_prctl, PR_SET_NAME, "kata-vfio-write", 0, 0, 0);
    close_all_but(answer_fd);
    if (job.path[0] == '/')
        ::syscall(SYS_chdir, "/"); // a write that blocks must not keep a mount busy

    char text[sizeof(Answer) + most_text];
    Answer answer = {0, 0};
    long size = 0;
    const int flags = job.bytes != nullptr ? helper_write_flags : O_RDONLY | O_CLOEXEC;
    const long fd = ::syscall(SYS_openat, AT_FDCWD, job.path, flags, 0);
    if (fd < 0) {
        answer.error = errno;
        answer.at_open = 1;
    } else if (job.bytes != nullptr) {
        const long n = ::syscall(SYS_write, fd, job.bytes, job.size);
        if (n != static_cast<long>(job.size))
            answer.error = n < 0 ? errno : EIO;
    } else {
        size = ::syscall(SYS_read, fd, text + sizeof(Answer), most_text);
        if (size < 0) {
            answer.error = errno;
            size = 0;
        }
    }
    for (std::size_t i = 0; i < sizeof answer; ++i)
        text[i] = reinterpret_cast<const char*>(&answer)[i];
    // Nobody may be left to read it; there is nothing to be done about that here.
    ::syscall(SYS_write, answer_fd, text, sizeof answer + static_cast<unsigned long>(size));
    for (;;)
        ::syscall(SYS_exit_group, 0);
}

/// Every signal blocked in this thread for a scope, by the raw call: glibc's would leave two out.
class AllSignalsBlocked {
  public:
    AllSignalsBlocked() {
        const unsigned long all = ~0ul;
        ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old_, sizeof all);
    }
    ~AllSignalsBlocked() {
        ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &old_, nullptr, sizeof old_);
    }
    AllSignalsBlocked(const AllSignalsBlocked&) = delete;
    AllSignalsBlocked& operator=(const AllSignalsBlocked&) = delete;

  private:
    unsigned long old_ = 0;
};

// __WALL: with exit signal 0 it is a "clone child", which plain waits do not see.
bool reap(int pidfd, int flags) {
    siginfo_t info{};
    int answer = 0;
    do
        answer = ::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd), &info,
                          WEXITED | __WALL | flags);
    while (answer != 0 && errno == EINTR);
    return answer == 0 && info.si_pid != 0;
}

std::string drain(int fd) {
    std::string bytes;
    char buffer[sizeof(Answer) + most_text];
    ssize_t n = 0;
    while ((n = ::read(fd, buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR))
        if (n > 0)
            bytes.append(buffer, static_cast<std::size_t>(n));
    return bytes;
}

} // namespace

PendingWrite HelperAccess::start(const HelperJob& job) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        throw host_failure(errno, "can't make a pipe for a helper process");
    UniqueFd read_end(ends[0]);
    const UniqueFd write_end(ends[1]);
    int pidfd = -1;
    long pid = -1;
    int error = 0;
    {
        const AllSignalsBlocked blocked;
        // No CLONE_VM: a child that never ends would keep this process's memory, and its core dump,
        // waiting. The stack is this one's copy.
        pid = ::syscall(SYS_clone, CLONE_PIDFD | 0ul, nullptr, &pidfd, nullptr, nullptr);
        if (pid == 0)
            child_main(job, write_end.get());
        error = errno;
    }
    if (pid < 0)
        throw host_failure(error, "can't make a helper process to write a host file with");
    return {UniqueFd(pidfd), std::move(read_end), static_cast<pid_t>(pid)};
}

bool HelperAccess::ended(PendingWrite& child, Deadline deadline) {
    for (;;) {
        pollfd item{child.pidfd_.get(), POLLIN, 0};
        const int left = deadline.poll_ms();
        const int n = ::poll(&item, 1, left);
        if (n > 0) {
            // ECHILD only when the embedding process reaps with __WALL itself: then it is reaped.
            reap(child.pidfd_.get(), 0);
            child.pidfd_.reset();
            return true;
        }
        if (n < 0 && errno != EINTR)
            throw host_failure(errno, "can't wait for a helper process");
        if (n == 0 && left == 0)
            return false;
    }
}

HostWriteResult HelperAccess::result(PendingWrite& child) {
    const auto bytes = drain(child.answer_.get());
    child.answer_.reset();
    HostWriteResult result;
    Answer answer{EINTR, 0}; // no answer: somebody killed the child
    if (bytes.size() >= sizeof answer)
        std::memcpy(&answer, bytes.data(), sizeof answer);
    result.error = answer.error;
    result.at_open = answer.at_open != 0;
    if (answer.error == 0)
        result.outcome = HostWriteOutcome::done;
    return result;
}

std::optional<std::string> HelperAccess::text(PendingWrite& child) {
    const auto bytes = drain(child.answer_.get());
    child.answer_.reset();
    Answer answer{EINTR, 0};
    if (bytes.size() < sizeof answer)
        return std::nullopt;
    std::memcpy(&answer, bytes.data(), sizeof answer);
    if (answer.error != 0)
        return std::nullopt;
    auto text = bytes.substr(sizeof answer);
    while (!text.empty() && text.back() == '\n')
        text.pop_back();
    return text;
}

PendingWrite::~PendingWrite() {
    if (pidfd_)
        reap(pidfd_.get(), WNOHANG);
}

HostWriteResult PendingWrite::wait(Deadline deadline) {
    if (!HelperAccess::ended(*this, deadline)) {
        HostWriteResult pending;
        pending.outcome = HostWriteOutcome::pending;
        return pending;
    }
    return HelperAccess::result(*this);
}

} // namespace kata_vfio::vfio
