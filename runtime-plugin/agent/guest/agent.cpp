// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/agent/guest/agent.hpp"

#include "config/base/text.hpp"
#include "runtime-plugin/kernel/system_error.hpp"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstring>

namespace kata_vfio::agent {

Agent::Agent(UniqueFd port, Modules modules)
    : port_(std::move(port)), modules_(std::move(modules)) {
    sigset_t children;
    ::sigemptyset(&children);
    ::sigaddset(&children, SIGCHLD);
    ::sigprocmask(SIG_BLOCK, &children, nullptr);
    signals_.reset(
        must(::signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK), "can't wait for children"));
    ::signal(SIGPIPE, SIG_IGN);
    utsname system{};
    ::uname(&system);
    send(FrameType::hello, 0, to_payload(Hello{protocol_version, system.release}));
    Cgroup::prepare(root_.sys("fs/cgroup"));
}

void Agent::run() {
    try {
        while (!over_)
            poll_once();
    } catch (const ProtocolError& error) {
        say(std::string("the shim breaks the protocol: ") + error.what());
    } catch (const std::exception& error) {
        say(std::string("the agent ends: ") + error.what());
        throw;
    }
    write_port();
}

void Agent::poll_once() {
    enum class What { port, children, uevents, launching, memory, in, out, err };
    struct Source {
        What what;
        std::uint32_t process;
    };
    std::vector<pollfd> fds{
        {port_.get(), static_cast<short>(POLLIN | (unsent_.empty() ? 0 : POLLOUT)), 0},
        {signals_.get(), POLLIN, 0},
        {uevents_.fd(), POLLIN, 0}};
    std::vector<Source> sources{{What::port, 0}, {What::children, 0}, {What::uevents, 0}};
    const auto watch = [&](int fd, short events, What what, std::uint32_t process) {
        if (fd < 0)
            return;
        fds.push_back({fd, events, 0});
        sources.push_back({what, process});
    };
    for (const auto& launching : launching_)
        watch(launching.sync.get(), POLLIN, What::launching, launching.process);
    for (const auto& [id, container] : containers_)
        watch(container.memory_events.get(), POLLPRI, What::memory, container.process);
    for (const auto& [number, process] : processes_) {
        const auto wanted = process->wanted();
        watch(wanted.in, POLLOUT, What::in, number);
        watch(wanted.out, POLLIN, What::out, number);
        watch(wanted.err, POLLIN, What::err, number);
    }
    int timeout = -1;
    for (const auto& wait : waits_) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(
            std::min(wait.until, wait.rescan) - Clock::now());
        const auto most = static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 600000));
        timeout = timeout < 0 ? most : std::min(timeout, most);
    }
    if (::poll(fds.data(), fds.size(), timeout) < 0 && errno != EINTR)
        throw SystemError("can't poll", errno);
    for (std::size_t i = 0; i < fds.size(); ++i) {
        if (fds[i].revents == 0)
            continue;
        auto* process = find(sources[i].process);
        switch (sources[i].what) {
        case What::port:
            if (fds[i].revents & POLLOUT)
                write_port();
            if (fds[i].revents & (POLLIN | POLLHUP | POLLERR))
                read_port();
            break;
        case What::children:
            on_child_signal();
            break;
        case What::uevents:
            on_uevents();
            break;
        case What::launching: {
            const auto found =
                std::ranges::find(launching_, sources[i].process, &Launching::process);
            if (found != launching_.end())
                on_launching(found);
            break;
        }
        case What::memory:
            for (auto& [id, container] : containers_)
                if (container.process == sources[i].process)
                    check_memory(container);
            break;
        case What::in:
            if (process)
                process->write_stdin();
            break;
        case What::out:
        case What::err:
            if (process) {
                process->read_output(sources[i].what == What::out ? FrameType::stdout_data
                                                                  : FrameType::stderr_data);
                forget_if_over(sources[i].process);
            }
            break;
        }
    }
    check_devices();
}

void Agent::read_port() {
    std::array<char, 65536> bytes;
    const auto count = ::read(port_.get(), bytes.data(), bytes.size());
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (count <= 0) {
        // Without its shim nobody wants to know how the containers end. The console may.
        std::fprintf(stderr, "agent: the port is closed: %s\n",
                     count < 0 ? std::strerror(errno) : "its end");
        over_ = true;
        return;
    }
    reader_.feed(std::string_view(bytes.data(), static_cast<std::size_t>(count)));
    while (const auto frame = reader_.next())
        take(*frame);
}

void Agent::write_port() {
    std::size_t written = 0;
    while (written < unsent_.size()) {
        const auto count = ::write(port_.get(), unsent_.data() + written, unsent_.size() - written);
        if (count > 0)
            written += static_cast<std::size_t>(count);
        // 0: its driver's queue is full, which it has not noticed yet.
        else if (count == 0 || errno == EAGAIN || errno == ENOMEM)
            break;
        else if (errno != EINTR) {
            std::fprintf(stderr, "agent: can't write to the port: %s\n", std::strerror(errno));
            over_ = true;
            break;
        }
    }
    unsent_.erase(0, written);
}

void Agent::take(const Frame& frame) {
    auto* process = find(frame.process);
    switch (frame.type) {
    case FrameType::request: {
        const auto request = parse_request(frame.payload);
        try {
            serve(request);
        } catch (const SystemError& error) {
            refuse(request.id, error.what(), error.number());
        } catch (const ProtocolError&) {
            throw;
        } catch (const std::exception& error) {
            refuse(request.id, error.what(), EIO);
        }
        return;
    }
    case FrameType::stdin_data:
        if (process)
            process->on_stdin(frame.payload);
        return;
    case FrameType::stdin_end:
        if (process)
            process->on_stdin_end();
        return;
    case FrameType::stdout_credit:
    case FrameType::stderr_credit:
        if (process)
            process->on_credit(frame.type, payload_number(frame));
        return;
    default:
        throw ProtocolError("a frame the host does not send");
    }
}

void Agent::serve(const Request& request) {
    const auto id = request.id;
    if (const auto* begin = std::get_if<Start>(&request.call)) {
        start(id, *begin);
    } else if (const auto* more = std::get_if<Exec>(&request.call)) {
        exec(id, *more);
    } else if (const auto* sent = std::get_if<Signal>(&request.call)) {
        signal(*sent);
        reply(id);
    } else if (const auto* resize = std::get_if<Resize>(&request.call)) {
        const winsize size{resize->rows, resize->columns, 0, 0};
        if (!need(resize->process).has_terminal())
            throw SystemError("the process has no terminal", ENOTTY);
        must(::ioctl(need(resize->process).terminal(), TIOCSWINSZ, &size), "can't set the size");
        reply(id);
    } else if (const auto* gone = std::get_if<Remove>(&request.call)) {
        remove(gone->container);
        reply(id);
    } else if (const auto* changed = std::get_if<Update>(&request.call)) {
        need_container(changed->container);
        cgroup(changed->container).limit(changed->limits);
        reply(id);
    } else if (const auto* listed = std::get_if<Pids>(&request.call)) {
        need_container(listed->container);
        const auto pids = cgroup(listed->container).processes();
        reply(id, {{"pids", boost::json::array(pids.begin(), pids.end())}});
    } else if (const auto* used = std::get_if<Stats>(&request.call)) {
        need_container(used->container);
        reply(id, to_json(cgroup(used->container).usage()));
    } else if (const auto* device = std::get_if<AwaitDevice>(&request.call)) {
        await(id, *device);
    } else {
        rusage own{};
        ::getrusage(RUSAGE_SELF, &own);
        reply(id, {{"peak_memory_kib", own.ru_maxrss}});
        over_ = true;
    }
}

void Agent::on_child_signal() {
    std::array<signalfd_siginfo, 16> drained;
    while (::read(signals_.get(), drained.data(), sizeof(drained)) > 0) {
    }
    int status = 0;
    pid_t pid = 0;
    // Not only ours: orphans of every container's exec come to the guest's first process.
    while ((pid = ::waitpid(-1, &status, WNOHANG)) > 0) {
        const int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        const auto found = std::ranges::find_if(
            processes_, [&](const auto& item) { return item.second->pid == pid; });
        if (found == processes_.end()) {
            if (!launching_.empty())
                early_exits_[pid] = code;
            continue;
        }
        found->second->status = code;
        if (found->second->started)
            ended(found->first, code);
    }
    if (launching_.empty())
        early_exits_.clear();
}

void Agent::ended(std::uint32_t number, int status) {
    auto& process = need(number);
    const auto container = containers_.find(process.container());
    // The kernel counts it before it ends a process, so the host knows why before it knows that.
    if (container != containers_.end())
        check_memory(container->second);
    if (process.is_first() && container != containers_.end()) {
        container->second.ended = true;
        // In a pid namespace of its own the others went with it.
        if (container->second.pod_pids)
            cgroup(process.container()).kill_all();
    }
    send(FrameType::exited, number, number_payload(static_cast<std::uint32_t>(status)));
    process.on_stdin_end();
    forget_if_over(number);
}

std::uint32_t Agent::check_memory(Container& container) {
    if (!container.memory_events)
        return 0;
    // From its beginning, which also takes back that it is ready.
    std::array<char, 512> bytes;
    const auto count = ::pread(container.memory_events.get(), bytes.data(), bytes.size(), 0);
    if (count < 0) {
        container.memory_events.reset();
        return container.oom_kills;
    }
    const auto kills = oom_kills(std::string(bytes.data(), static_cast<std::size_t>(count)));
    if (kills > container.oom_kills) {
        container.oom_kills = kills;
        send(FrameType::oom_kills, container.process, number_payload(kills));
    }
    return container.oom_kills;
}

void Agent::forget_if_over(std::uint32_t number) {
    const auto* process = find(number);
    if (process && process->status && process->started && process->all_said())
        processes_.erase(number);
}

void Agent::signal(const Signal& call) {
    auto& process = need(call.process);
    const auto group = cgroup(process.container());
    if (call.all && call.number == SIGKILL)
        return group.kill_all();
    if (call.all) {
        for (const auto pid : group.processes())
            ::kill(static_cast<pid_t>(pid), call.number);
        return;
    }
    if (process.status || process.pid <= 0)
        throw SystemError("the process has ended", ESRCH);
    must(::kill(process.pid, call.number), "can't send the signal");
}

void Agent::remove(const std::string& container) {
    if (!need_container(container).ended)
        throw SystemError("container " + container + " still runs", EBUSY);
    // One that is still on its way to its program (an exec that was begun as the container ended)
    // has nobody left to tell of it.
    std::erase_if(launching_, [&](const Launching& launching) {
        const auto* process = find(launching.process);
        if (process && process->container() != container)
            return false;
        refuse(launching.request, "container " + container + " is removed", ESRCH);
        return true;
    });
    std::erase_if(processes_, [&](const auto& item) {
        if (item.second->container() != container)
            return false;
        item.second->close();
        return true;
    });
    cgroup(container).remove();
    containers_.erase(container);
}

void Agent::send(FrameType type, std::uint32_t process, std::string_view payload) {
    // Bounded by what may be outstanding: the windows of all streams, and one reply a request.
    unsent_ += encode(type, process, payload);
    write_port();
}
void Agent::reply(std::uint32_t request, boost::json::object value) {
    send(FrameType::reply, 0, to_payload(Reply{request, "", 0, std::move(value)}));
}
void Agent::refuse(std::uint32_t request, const std::string& text, int number) {
    send(FrameType::reply, 0, to_payload(Reply{request, text.substr(0, 4096), number, {}}));
}
void Agent::say(const std::string& line) {
    send(FrameType::log, 0, line.substr(0, 4096));
}

Process* Agent::find(std::uint32_t number) {
    const auto found = processes_.find(number);
    return found == processes_.end() ? nullptr : found->second.get();
}
Process& Agent::need(std::uint32_t number) {
    auto* process = find(number);
    if (!process)
        throw SystemError("no process " + std::to_string(number), ESRCH);
    return *process;
}
Agent::Container& Agent::need_container(const std::string& id) {
    const auto found = containers_.find(id);
    if (found == containers_.end())
        throw SystemError("no container " + id, ENOENT);
    return found->second;
}
Cgroup Agent::cgroup(const std::string& container) const {
    return Cgroup(root_.sys("fs/cgroup"), container);
}

} // namespace kata_vfio::agent
