// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/agent/guest/launch.hpp"

#include "runtime-plugin/agent/guest/container.hpp"
#include "runtime-plugin/agent/guest/run_process.hpp"
#include "runtime-plugin/kernel/system_error.hpp"
#include "vfio/host_root.hpp"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>

namespace kata_vfio::agent {
namespace {

/// fork() with namespaces; the agent has one thread, so the child may do what it likes.
pid_t fork_with(unsigned long flags) {
    return static_cast<pid_t>(
        must(::syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0), "can't make a process"));
}

/// The same, and the child is in the cgroup from its first moment. One that enters it later, by
/// writing to it, waits for the kernel to hold up every fork and exit of the guest.
pid_t fork_into(const Cgroup& cgroup, unsigned long flags) {
    const auto group = cgroup.open();
    clone_args how{};
    how.flags = flags | CLONE_INTO_CGROUP;
    how.exit_signal = SIGCHLD;
    how.cgroup = static_cast<std::uint64_t>(group.get());
    return static_cast<pid_t>(
        must(::syscall(SYS_clone3, &how, sizeof(how)), "can't make a process in the cgroup"));
}

struct Message {
    char kind = 0; ///< 'P' pid, 'T' terminal (with the descriptor), 'E' error
    std::int32_t number = 0;
    std::array<char, 512> text{};
};

void say(int sync, const Message& message, int descriptor = -1) {
    iovec part{const_cast<Message*>(&message), sizeof(message)};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    if (descriptor >= 0) {
        header.msg_control = control.data();
        header.msg_controllen = control.size();
        auto* part_of = CMSG_FIRSTHDR(&header);
        part_of->cmsg_level = SOL_SOCKET;
        part_of->cmsg_type = SCM_RIGHTS;
        part_of->cmsg_len = CMSG_LEN(sizeof(int));
        std::memcpy(CMSG_DATA(part_of), &descriptor, sizeof(int));
    }
    ::sendmsg(sync, &header, MSG_NOSIGNAL);
}

void say_error(int sync, const std::exception& error) {
    Message message;
    message.kind = 'E';
    const auto* system = dynamic_cast<const SystemError*>(&error);
    message.number = system ? system->number() : EIO;
    std::strncpy(message.text.data(), error.what(), message.text.size() - 1);
    say(sync, message);
}

struct Pipe {
    UniqueFd read, write;
};
Pipe make_pipe() {
    std::array<int, 2> fds{};
    must(::pipe2(fds.data(), O_CLOEXEC), "no pipe");
    return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

/// The streams, the socket, and what the child does with its ends.
struct Ends {
    explicit Ends(const ProcessSpec& process) : spec(process) {
        std::array<int, 2> fds{};
        must(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds.data()), "no socket");
        ours.reset(fds[0]);
        theirs.reset(fds[1]);
        if (!spec.terminal) {
            in = make_pipe();
            out = make_pipe();
            err = make_pipe();
        }
    }
    /// In the process that becomes the program, inside the container.
    [[noreturn]] void become(bool console) const {
        if (spec.terminal) {
            const auto master = take_terminal(spec, console);
            Message message;
            message.kind = 'T';
            say(theirs.get(), message, master.get());
        } else {
            ::setsid();
            must(::dup2(in.read.get(), 0), "no stdin");
            must(::dup2(out.write.get(), 1), "no stdout");
            must(::dup2(err.write.get(), 2), "no stderr");
        }
        run(spec);
    }
    Launched near(pid_t pid) {
        return Launched{pid, std::move(ours), std::move(in.write), std::move(out.read),
                        std::move(err.read)};
    }

    const ProcessSpec& spec;
    UniqueFd ours, theirs;
    Pipe in, out, err;
};

void set_oom_score(const ProcessSpec& spec) {
    if (!spec.oom_score)
        return;
    const auto file = vfio::HostRoot().proc("self/oom_score_adj");
    const auto text = std::to_string(*spec.oom_score);
    const UniqueFd fd(must(::open(file.c_str(), O_WRONLY | O_CLOEXEC), "no oom score"));
    must(::write(fd.get(), text.data(), text.size()), "can't set the oom score");
}

/// In a process that has entered another pid namespace, in which only its children are: becomes
/// that child, with the agent as its parent and its pid told to it.
void continue_in_child(int sync, unsigned long flags) {
    Message message;
    message.number = fork_with(CLONE_PARENT | flags);
    if (message.number == 0)
        return;
    message.kind = 'P';
    say(sync, message);
    ::_exit(0);
}

} // namespace

pid_t launch_pod_init() {
    const pid_t pid = fork_with(CLONE_NEWPID);
    if (pid != 0)
        return pid;
    ::prctl(PR_SET_NAME, "pod", 0, 0, 0);
    ::close_range(0, ~0u, 0);
    // The kernel then reaps what is left to it.
    ::signal(SIGCHLD, SIG_IGN);
    for (;;)
        ::pause();
}

Launched launch_container(const ContainerSpec& spec, const Cgroup& cgroup, pid_t pod_init) {
    Ends ends(spec.process);
    // The pod's ipc namespace is the guest's: the agent has no use for it.
    const unsigned long flags = CLONE_NEWNS | CLONE_NEWUTS | (spec.pod_ipc ? 0 : CLONE_NEWIPC);
    UniqueFd pids;
    if (pod_init > 0)
        pids.reset(
            static_cast<int>(must(::syscall(SYS_pidfd_open, pod_init, 0), "the pod is gone")));
    const pid_t pid = fork_into(cgroup, pids ? 0 : flags | CLONE_NEWPID);
    if (pid != 0)
        return ends.near(pids ? 0 : pid);
    try {
        if (pids) {
            must(::setns(pids.get(), CLONE_NEWPID), "can't enter the pod's pid namespace");
            continue_in_child(ends.theirs.get(), flags);
        }
        set_oom_score(spec.process);
        enter_new_container(spec);
        ends.become(true);
    } catch (const std::exception& error) {
        say_error(ends.theirs.get(), error);
    }
    ::_exit(127);
}

Launched launch_exec(const ProcessSpec& spec, pid_t first, const Cgroup& cgroup) {
    Ends ends(spec);
    const UniqueFd process(
        static_cast<int>(must(::syscall(SYS_pidfd_open, first, 0), "the container is gone")));
    if (fork_into(cgroup, 0) != 0)
        return ends.near(0);
    try {
        set_oom_score(spec);
        must(::setns(process.get(),
                     CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP),
             "can't enter the container");
        must(::chdir("/"), "can't enter the container");
        continue_in_child(ends.theirs.get(), 0);
        ends.become(false);
    } catch (const std::exception& error) {
        say_error(ends.theirs.get(), error);
    }
    ::_exit(127);
}

LaunchRead read_launch(int sync) {
    Message message;
    iovec part{&message, sizeof(message)};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    const auto count = ::recvmsg(sync, &header, MSG_CMSG_CLOEXEC);
    if (count < 0 && errno == EINTR)
        return {};
    if (count != sizeof(message))
        return LaunchRead{true, std::nullopt};
    UniqueFd descriptor;
    if (const auto* got = CMSG_FIRSTHDR(&header);
        got && got->cmsg_level == SOL_SOCKET && got->cmsg_type == SCM_RIGHTS) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(got), sizeof(fd));
        descriptor.reset(fd);
    }
    LaunchMessage told{LaunchMessage::Kind::failed, 0, std::move(descriptor), "", 0};
    message.text.back() = '\0';
    if (message.kind == 'P') {
        told.kind = LaunchMessage::Kind::pid;
        told.pid = message.number;
    } else if (message.kind == 'T' && told.terminal) {
        told.kind = LaunchMessage::Kind::terminal;
    } else {
        told.error = message.text.data();
        told.number = message.number;
    }
    return LaunchRead{false, std::move(told)};
}

} // namespace kata_vfio::agent
