// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/agent/guest/run_process.hpp"

#include "config/base/text.hpp"
#include "runtime-plugin/agent/guest/seccomp.hpp"
#include "runtime-plugin/kernel/capability_sets.hpp"
#include "runtime-plugin/kernel/system_error.hpp"
#include "vfio/host_root.hpp"

#include <fcntl.h>
#include <grp.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>

namespace kata_vfio::agent {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& texts) {
    std::vector<char*> all;
    for (const auto& text : texts)
        all.push_back(const_cast<char*>(text.c_str()));
    all.push_back(nullptr);
    return all;
}

std::string value_of(const std::vector<std::string>& env, std::string_view name) {
    for (const auto& item : env)
        if (item.starts_with(name) && item.size() > name.size() && item[name.size()] == '=')
            return item.substr(name.size() + 1);
    return {};
}

void find_and_execute(const ProcessSpec& spec) {
    const auto args = pointers(spec.args);
    const auto env = pointers(spec.env);
    const auto& program = spec.args.front();
    if (program.find('/') != std::string::npos) {
        ::execve(program.c_str(), args.data(), env.data());
        throw SystemError("can't run " + quoted(program), errno);
    }
    auto path = value_of(spec.env, "PATH");
    if (path.empty())
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    int reason = ENOENT;
    for (const auto piece : split(path, ':')) {
        const std::string directory(piece);
        ::execve(((directory.empty() ? "." : directory) + "/" + program).c_str(), args.data(),
                 env.data());
        if (errno != ENOENT && errno != ENOTDIR)
            reason = errno;
    }
    throw SystemError("can't run " + quoted(program) + ", looked for in $PATH", reason);
}

} // namespace

UniqueFd take_terminal(const ProcessSpec& spec, bool console) {
    const vfio::HostRoot root;
    UniqueFd master(must(::open(root.dev("pts/ptmx").c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC),
                         "the container has no /dev/pts/ptmx"));
    int unlocked = 0;
    must(::ioctl(master.get(), TIOCSPTLCK, &unlocked), "no terminal");
    const UniqueFd slave(
        must(::ioctl(master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC), "no terminal"));
    if (spec.rows || spec.columns) {
        const winsize size{spec.rows, spec.columns, 0, 0};
        must(::ioctl(slave.get(), TIOCSWINSZ, &size), "can't set the terminal's size");
    }
    must(::fchown(slave.get(), spec.uid, static_cast<gid_t>(-1)), "no terminal");
    if (console) {
        const UniqueFd place(
            ::open(root.dev("console").c_str(), O_CREAT | O_WRONLY | O_NOCTTY | O_CLOEXEC, 0620));
        const auto name = "/proc/self/fd/" + std::to_string(slave.get());
        // The guest's own /dev, bind-mounted, has its serial line there: let it be.
        if (place)
            ::mount(name.c_str(), root.dev("console").c_str(), nullptr, MS_BIND, nullptr);
    }
    ::setsid();
    must(::ioctl(slave.get(), TIOCSCTTY, 0), "no controlling terminal");
    for (int fd = 0; fd < 3; ++fd)
        must(::dup2(slave.get(), fd), "no terminal");
    return master;
}

void run(const ProcessSpec& spec) {
    for (const auto& limit : spec.limits) {
        const rlimit64 value{limit.soft, limit.hard};
        must(static_cast<int>(
                 ::syscall(SYS_prlimit64, 0, limit.resource, &value, static_cast<void*>(nullptr))),
             "can't set a resource limit");
    }
    if (spec.umask)
        ::umask(*spec.umask);
    // As runc: without no_new_privs it takes CAP_SYS_ADMIN, which may be gone in a moment; with it
    // the filter comes last, so that it need not permit what follows here.
    if (spec.seccomp && !spec.no_new_privileges)
        apply_seccomp(*spec.seccomp);
    bound_capabilities(spec.capabilities.bounding);
    must(::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), "can't keep capabilities");
    must(::setgroups(spec.groups.size(), spec.groups.data()), "can't set the groups");
    must(::setresgid(spec.gid, spec.gid, spec.gid), "can't set the group");
    must(::setresuid(spec.uid, spec.uid, spec.uid), "can't set the user");
    // As the user: its home may be closed to root on a share. Made where it is missing alone: a
    // seccomp profile that is in force may not permit it.
    if (::chdir(spec.cwd.c_str()) != 0) {
        if (errno != ENOENT || ::mkdir(spec.cwd.c_str(), 0755) != 0)
            throw SystemError("no working directory " + spec.cwd, errno);
        must(::chdir(spec.cwd.c_str()), "no working directory " + spec.cwd);
    }
    if (spec.no_new_privileges)
        must(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "can't set no_new_privs");
    apply_capabilities(spec.capabilities);
    must(::prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0), "can't keep capabilities");
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    // What the agent had ignored must not be ignored in the container.
    ::signal(SIGPIPE, SIG_DFL);
    if (spec.seccomp && spec.no_new_privileges)
        apply_seccomp(*spec.seccomp);
    find_and_execute(spec);
    std::abort(); // find_and_execute ends with exec or a throw
}

} // namespace kata_vfio::agent
