// SPDX-License-Identifier: Apache-2.0
// The part of Agent that brings processes to run.
#include "runtime-plugin/agent/guest/agent.hpp"
#include "runtime-plugin/kernel/system_error.hpp"

#include <cerrno>

namespace kata_vfio::agent {

void Agent::start(std::uint32_t request, Start call) {
    const auto& id = call.container.id;
    if (containers_.contains(id) || find(call.process))
        throw SystemError("container " + id + " is there already", EEXIST);
    if (processes_.size() >= max_processes)
        throw SystemError("too many processes", EAGAIN);
    const auto group = cgroup(id);
    const pid_t init = call.container.pod_pids ? pod_init() : 0;
    group.make();
    Launched launched;
    try {
        group.limit(call.container.limits);
        launched = launch_container(call.container, group, init);
    } catch (...) {
        group.remove();
        throw;
    }
    containers_[id] = Container{
        launched.pid, false, call.container.pod_pids, call.process, group.open_memory_events(), 0};
    add(request,
        std::make_unique<Process>(call.process, id, true,
                                  [this, number = call.process](FrameType type, auto payload) {
                                      send(type, number, payload);
                                  }),
        std::move(launched));
}

pid_t Agent::pod_init() {
    if (pod_init_ == 0)
        pod_init_ = launch_pod_init();
    return pod_init_;
}

void Agent::exec(std::uint32_t request, const Exec& call) {
    const auto& container = need_container(call.container);
    if (container.ended)
        throw SystemError("container " + call.container + " has ended", ESRCH);
    if (find(call.process) || processes_.size() >= max_processes)
        throw SystemError("too many processes", EAGAIN);
    auto launched = launch_exec(call.spec, container.first, cgroup(call.container));
    add(request,
        std::make_unique<Process>(call.process, call.container, false,
                                  [this, number = call.process](FrameType type, auto payload) {
                                      send(type, number, payload);
                                  }),
        std::move(launched));
}

void Agent::add(std::uint32_t request, std::unique_ptr<Process> process, Launched launched) {
    process->pid = launched.pid;
    if (launched.out)
        process->give_pipes(std::move(launched.in), std::move(launched.out),
                            std::move(launched.err));
    const auto container = containers_.find(process->container());
    launching_.push_back({request, process->number(), std::move(launched.sync), "", 0,
                          container == containers_.end() ? 0 : check_memory(container->second)});
    processes_[process->number()] = std::move(process);
}

void Agent::on_launching(std::list<Launching>::iterator launching) {
    auto read = read_launch(launching->sync.get());
    if (read.ended)
        return finish_launch(launching);
    if (!read.message)
        return;
    auto& process = need(launching->process); // remove() leaves none without
    switch (read.message->kind) {
    case LaunchMessage::Kind::pid:
        process.pid = read.message->pid;
        if (process.is_first())
            need_container(process.container()).first = process.pid;
        break;
    case LaunchMessage::Kind::terminal:
        process.give_terminal(std::move(read.message->terminal));
        break;
    case LaunchMessage::Kind::failed:
        launching->error = read.message->error;
        launching->error_number = read.message->number;
        break;
    }
}

void Agent::finish_launch(std::list<Launching>::iterator launching) {
    const auto done = std::move(*launching);
    launching_.erase(launching);
    auto& process = need(done.process);
    if (!done.error.empty() || process.pid == 0) {
        const auto container = process.container();
        auto error = done.error;
        if (error.empty()) {
            error = "the process ended before it ran";
            const auto found = containers_.find(container);
            if (found != containers_.end() && check_memory(found->second) > done.oom_kills)
                error += "; of its container processes were ended for want of memory";
        }
        refuse(done.request, error, done.error_number);
        const bool first = process.is_first();
        if (first)
            containers_.erase(container);
        processes_.erase(done.process);
        if (first)
            cgroup(container).remove();
        return;
    }
    process.started = true;
    reply(done.request, {{"pid", process.pid}});
    if (const auto early = early_exits_.find(process.pid); early != early_exits_.end()) {
        process.status = early->second;
        early_exits_.erase(early);
    }
    if (process.status)
        ended(done.process, *process.status);
}

} // namespace kata_vfio::agent
