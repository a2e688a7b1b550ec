// SPDX-License-Identifier: Apache-2.0
// The calls that only look, or pass something on.
#include "config/base/text.hpp"
#include "events.pb.h"
#include "runtime-plugin/shim/log.hpp"
#include "runtime-plugin/shim/task/service.hpp"
#include "runtime-plugin/shim/task/service_types.hpp"
#include "runtime-plugin/shim/task/timestamp.hpp"
#include "runtime-plugin/shim/task/usage_metrics.hpp"

#include <unistd.h>

#include <array>
#include <csignal>

namespace kata_vfio::shim {
namespace asio = boost::asio;
namespace events = containerd::events;
namespace task = containerd::task::v2;
using asio::awaitable;
using std::chrono::seconds;
using std::chrono::system_clock;
using ttrpc::Code;
using ttrpc::Error;
namespace {

constexpr seconds short_limit{10};
/// For output that is still on its way when a task is deleted; as runc's shim has it.
constexpr seconds output_limit{2};

containerd::v1::types::Status status_of(Life::State state) {
    switch (state) {
    case Life::State::created:
    case Life::State::starting:
        return containerd::v1::types::CREATED;
    case Life::State::running:
        return containerd::v1::types::RUNNING;
    case Life::State::stopped:
        break;
    }
    return containerd::v1::types::STOPPED;
}

} // namespace

Service::Bytes Service::state(std::string payload) {
    const auto request = parsed<task::StateRequest>(payload);
    const auto of = container(request.id());
    const auto one = process(request.id(), request.exec_id());
    task::StateResponse response;
    response.set_id(of->id);
    response.set_bundle(of->bundle);
    response.set_pid(last_pid_);
    response.set_status(status_of(one->life.state()));
    const auto& paths = one->stdio->paths();
    response.set_stdin(paths.in);
    response.set_stdout(paths.out);
    response.set_stderr(paths.err);
    response.set_terminal(paths.terminal);
    if (one->life.state() == Life::State::stopped) {
        response.set_exit_status(static_cast<std::uint32_t>(one->life.exit()->status));
        set_time(*response.mutable_exited_at(), one->life.exit()->at);
    }
    response.set_exec_id(one->exec_id);
    co_return response.SerializeAsString();
}

Service::Bytes Service::exec(std::string payload) {
    const auto request = parsed<task::ExecProcessRequest>(payload);
    const auto of = container(request.id());
    if (of->kind == oci::Kind::sandbox)
        throw Error(Code::failed_precondition, "a sandbox has no process to exec beside");
    require_machine();
    of->first->life.check_exec();
    if (!is_containerd_name(request.exec_id()))
        throw Error(Code::invalid_argument, quoted(request.exec_id()) + " is no id containerd has");
    if (of->execs.contains(request.exec_id()))
        throw Error(Code::already_exists,
                    "process " + quoted(request.exec_id()) + " is there already");
    auto one = std::make_shared<Process>(io_, of->id, request.exec_id());
    one->spec = oci::parse_process(request.spec().value());
    one->spec.terminal = request.terminal();
    one->spec.seccomp = of->spec.process.seccomp; // OCI has one for a container, not for a process
    Stdio::Paths paths;
    paths.in = request.stdin();
    paths.out = request.stdout();
    paths.err = request.stderr();
    paths.terminal = request.terminal();
    one->stdio = std::make_unique<Stdio>(io_, std::move(paths));
    of->execs[one->exec_id] = one;
    events::TaskExecAdded event;
    event.set_container_id(of->id);
    event.set_exec_id(one->exec_id);
    publisher_.publish("/tasks/exec-added", event);
    co_return std::string();
}

Service::Bytes Service::kill(std::string payload) {
    const auto request = parsed<task::KillRequest>(payload);
    const auto of = container(request.id());
    const auto one = process(request.id(), request.exec_id());
    if (request.signal() < 1 || request.signal() > 64)
        throw Error(Code::invalid_argument,
                    "there is no signal " + std::to_string(request.signal()));
    const auto number = static_cast<int>(request.signal());
    Exit exit{0, system_clock::now()};
    if (!one->life.signal(number, exit)) {
        publish_exit(*one);
        one->ended.set(exit);
        co_return std::string();
    }
    if (one->number == 0) {
        // A sandbox's own task has no process in the guest: it ends as one would.
        if (number == SIGKILL || number == SIGTERM)
            exited(one, Exit{128 + number, system_clock::now()});
        co_return std::string();
    }
    try {
        agent::Call call = agent::Signal{one->number, number, request.all()};
        co_await sandbox_.guest().call(std::move(call), short_limit);
    } catch (const Error& error) {
        if (error.code() != Code::deadline_exceeded)
            throw;
        // A pod must end, whatever its guest is at: one that does not answer to SIGKILL is ended.
        // Another signal is on its way, and no more can be said of it: an error would keep CRI's
        // StopContainer from coming to its SIGKILL.
        if (number == SIGKILL) {
            log_error("the guest does not answer to SIGKILL: its machine is ended", {});
            sandbox_.kill();
        } else {
            log_warning("the guest does not answer to a signal",
                        {{"signal", std::to_string(number)}});
        }
    }
    co_return std::string();
}

Service::Bytes Service::wait(std::string payload) {
    const auto request = parsed<task::WaitRequest>(payload);
    const auto one = process(request.id(), request.exec_id());
    const auto exit = co_await one->ended.wait();
    task::WaitResponse response;
    response.set_exit_status(static_cast<std::uint32_t>(exit.status));
    set_time(*response.mutable_exited_at(), exit.at);
    co_return response.SerializeAsString();
}

namespace {

template <class ProcessPointer>
std::string deleted(const ProcessPointer& one, std::uint32_t pid) {
    task::DeleteResponse response;
    response.set_pid(pid);
    const auto exit = one->life.exit().value_or(Exit{0, system_clock::now()});
    response.set_exit_status(static_cast<std::uint32_t>(exit.status));
    set_time(*response.mutable_exited_at(), exit.at);
    return response.SerializeAsString();
}

} // namespace

Service::Bytes Service::remove_exec(std::shared_ptr<Container> of, std::string exec_id) {
    const auto one = process(of->id, exec_id);
    one->life.check_delete();
    if (one->number != 0)
        co_await one->stdio->done().wait_for(output_limit);
    if (one->number != 0 && sandbox_.running())
        sandbox_.guest().drop_process(one->number);
    one->stdio->guest_ended();
    of->execs.erase(exec_id);
    co_return deleted(one, last_pid_);
}

namespace {

/// A Delete that fails leaves a task that can be deleted.
template <class Container>
class Undeleted {
  public:
    explicit Undeleted(Container& of) : of_(of) {}
    ~Undeleted() { of_.deleting = false; }
    Undeleted(const Undeleted&) = delete;
    Undeleted& operator=(const Undeleted&) = delete;

  private:
    Container& of_;
};

} // namespace

Service::Bytes Service::remove(std::string payload) {
    const auto request = parsed<task::DeleteRequest>(payload);
    const auto of = container(request.id());
    if (!request.exec_id().empty())
        co_return co_await remove_exec(of, request.exec_id());
    const auto one = of->first;
    one->life.check_delete();
    if (std::exchange(of->deleting, true))
        throw Error(Code::failed_precondition, "the task is being deleted");
    const Undeleted undeleted(*of);
    // A Create whose client has given up goes on here, and has devices attached: it ends first.
    // That of a pod is ended by the stop below.
    if (of->kind == oci::Kind::container && !co_await of->made.wait())
        throw Error(Code::not_found, "the task was not created");
    if (one->number != 0)
        co_await one->stdio->done().wait_for(output_limit);
    if (one->number != 0 && sandbox_.running()) {
        sandbox_.guest().drop_process(one->number);
        try {
            agent::Call call = agent::Remove{of->id};
            co_await sandbox_.guest().call(std::move(call), short_limit);
        } catch (const Error& error) {
            // Not there any more when its start failed. The share is taken from it all the same.
            log_debug("the guest did not remove the container", {{"error", error.what()}});
        }
    }
    if (of->kind == oci::Kind::container) {
        std::string id = of->id;
        co_await sandbox_.remove(std::move(id));
    } else {
        co_await sandbox_.stop();
    }
    one->stdio->guest_ended();
    for (const auto& [id, exec] : of->execs)
        exec->stdio->guest_ended();
    containers_.erase(of->id);
    const auto answer = deleted(one, last_pid_);
    const auto exit = one->life.exit().value_or(Exit{0, system_clock::now()});
    events::TaskDelete event;
    event.set_container_id(of->id);
    event.set_id(of->id);
    event.set_pid(last_pid_);
    event.set_exit_status(static_cast<std::uint32_t>(exit.status));
    set_time(*event.mutable_exited_at(), exit.at);
    publisher_.publish("/tasks/delete", event);
    co_return answer;
}

Service::Bytes Service::close_io(std::string payload) {
    const auto request = parsed<task::CloseIORequest>(payload);
    const auto one = process(request.id(), request.exec_id());
    if (request.stdin())
        one->stdio->close_stdin();
    co_return std::string();
}

Service::Bytes Service::resize(std::string payload) {
    const auto request = parsed<task::ResizePtyRequest>(payload);
    const auto one = process(request.id(), request.exec_id());
    const auto rows = static_cast<std::uint16_t>(std::min(request.height(), 65535u));
    const auto columns = static_cast<std::uint16_t>(std::min(request.width(), 65535u));
    if (one->number == 0) {
        // Before its start, as ctr does: it starts with that size.
        auto& spec = one->exec_id.empty() ? container(request.id())->spec.process : one->spec;
        spec.rows = rows;
        spec.columns = columns;
        co_return std::string();
    }
    if (one->life.state() == Life::State::stopped)
        throw Error(Code::not_found, "process already finished");
    agent::Call call = agent::Resize{one->number, rows, columns};
    co_await sandbox_.guest().call(std::move(call), short_limit);
    co_return std::string();
}

Service::Bytes Service::pids(std::string payload) {
    const auto request = parsed<task::PidsRequest>(payload);
    container(request.id());
    // The one process the host has of it. The guest's numbers are other processes' here.
    task::PidsResponse response;
    response.add_processes()->set_pid(last_pid_);
    co_return response.SerializeAsString();
}

Service::Bytes Service::stats(std::string payload) {
    const auto request = parsed<task::StatsRequest>(payload);
    const auto of = container(request.id());
    io::containerd::cgroups::v2::Metrics metrics;
    if (of->kind != oci::Kind::sandbox) {
        agent::Call call = agent::Stats{of->id};
        const auto value = co_await sandbox_.guest().call(std::move(call), short_limit);
        agent::Usage used;
        try {
            used = agent::parse_usage(value);
        } catch (const agent::ProtocolError& wrong) {
            throw Error(Code::internal, std::string("the guest's answer: ") + wrong.what());
        }
        metrics = metrics_of(used);
    }
    task::StatsResponse response;
    response.mutable_stats()->set_type_url(metrics.GetTypeName());
    response.mutable_stats()->set_value(metrics.SerializeAsString());
    co_return response.SerializeAsString();
}

Service::Bytes Service::update(std::string payload) {
    const auto request = parsed<task::UpdateTaskRequest>(payload);
    const auto of = container(request.id());
    auto limits = oci::parse_resources(request.resources().value());
    // A pod's own task has no process; its size was decided when it was started.
    if (of->kind == oci::Kind::sandbox)
        co_return std::string();
    if (of->first->life.state() == Life::State::created) {
        of->spec.limits = std::move(limits);
        co_return std::string();
    }
    agent::Call call = agent::Update{of->id, std::move(limits)};
    co_await sandbox_.guest().call(std::move(call), short_limit);
    co_return std::string();
}

Service::Bytes Service::connect(std::string payload) {
    parsed<task::ConnectRequest>(payload);
    task::ConnectResponse response;
    response.set_shim_pid(static_cast<std::uint32_t>(::getpid()));
    response.set_task_pid(last_pid_);
    co_return response.SerializeAsString();
}

Service::Bytes Service::shutdown(std::string payload) {
    const auto request = parsed<task::ShutdownRequest>(payload);
    // Sent once a container; the shim is its pod's and ends with the last one.
    if (containers_.empty() || request.now())
        over_.set(true);
    co_return std::string();
}

} // namespace kata_vfio::shim
