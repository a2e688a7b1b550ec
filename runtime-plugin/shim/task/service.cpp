// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/task/service.hpp"

#include "config/base/file.hpp"
#include "config/base/text.hpp"
#include "events.pb.h"
#include "runtime-plugin/shim/log.hpp"
#include "runtime-plugin/shim/oci/seccomp_filter.hpp"
#include "runtime-plugin/shim/task/service_types.hpp"
#include "runtime-plugin/shim/task/timestamp.hpp"

#include <unistd.h>

#include <array>
#include <exception>

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

/// For a program to run: the guest's kernel mounts a share and reads the program over it.
constexpr seconds start_limit{60};

} // namespace

Service::Service(asio::io_context& io, Publisher& publisher, Sandbox& sandbox)
    : io_(io), publisher_(publisher), sandbox_(sandbox), over_(io) {}
Service::~Service() = default;

ttrpc::Method Service::find(const std::string& service, const std::string& method) {
    if (service != "containerd.task.v2.Task")
        return {};
    using Member = Bytes (Service::*)(std::string);
    // Pause, Resume and Checkpoint are not there, and so answered Unimplemented.
    static const std::map<std::string, Member, std::less<>> methods{
        {"Create", &Service::create},     {"Start", &Service::start},
        {"State", &Service::state},       {"Exec", &Service::exec},
        {"Kill", &Service::kill},         {"Wait", &Service::wait},
        {"Delete", &Service::remove},     {"CloseIO", &Service::close_io},
        {"ResizePty", &Service::resize},  {"Pids", &Service::pids},
        {"Stats", &Service::stats},       {"Connect", &Service::connect},
        {"Shutdown", &Service::shutdown}, {"Update", &Service::update},
    };
    const auto found = methods.find(method);
    if (found == methods.end())
        return {};
    return [this, member = found->second](std::string payload) {
        return (this->*member)(std::move(payload));
    };
}

std::shared_ptr<Service::Container> Service::container(const std::string& id) const {
    const auto found = containers_.find(id);
    if (found == containers_.end())
        throw Error(Code::not_found, "no task " + quoted(id));
    return found->second;
}

std::shared_ptr<Service::Process> Service::process(const std::string& id,
                                                   const std::string& exec_id) const {
    const auto of = container(id);
    if (exec_id.empty())
        return of->first;
    const auto found = of->execs.find(exec_id);
    if (found == of->execs.end())
        throw Error(Code::not_found, "no process " + quoted(exec_id) + " of task " + quoted(id));
    return found->second;
}

void Service::require_machine() const {
    if (!sandbox_.end().empty())
        throw Error(Code::failed_precondition, "the sandbox has ended: " + sandbox_.end());
}

Service::Bytes Service::create(std::string payload) {
    const auto request = parsed<task::CreateTaskRequest>(payload);
    if (containers_.contains(request.id()))
        throw Error(Code::already_exists, "task " + quoted(request.id()) + " is there already");
    if (!is_containerd_name(request.id()))
        throw Error(Code::invalid_argument, quoted(request.id()) + " is no id containerd has");
    if (!request.checkpoint().empty())
        throw Error(Code::unimplemented, "a checkpoint can't be restored");
    const auto file = std::filesystem::path(request.bundle()) / "config.json";
    const auto text = read_file(file, 4u << 20);
    if (!text)
        throw Error(Code::not_found, file.native() + " is not there");
    const auto spec = oci::parse_spec(*text);
    if (spec.kind == oci::Kind::container && !sandbox_.running())
        throw Error(Code::failed_precondition,
                    "the pod's sandbox does not run" +
                        (sandbox_.end().empty() ? "" : ": " + sandbox_.end()));
    if (spec.kind != oci::Kind::container && !containers_.empty())
        throw Error(Code::failed_precondition, "this shim has its sandbox already");

    std::optional<agent::SeccompFilter> seccomp;
    if (spec.kind != oci::Kind::sandbox && spec.seccomp)
        seccomp = oci::compile(*spec.seccomp);
    auto made = std::make_shared<Container>(io_);
    made->id = request.id();
    made->bundle = request.bundle();
    made->kind = spec.kind;
    made->first = std::make_shared<Process>(io_, made->id, "");
    Stdio::Paths paths;
    paths.in = request.stdin();
    paths.out = request.stdout();
    paths.err = request.stderr();
    paths.terminal = request.terminal();
    made->first->stdio = std::make_unique<Stdio>(io_, std::move(paths));
    // Taken before anything waits: a second Create of this id finds it.
    containers_[made->id] = made;

    std::exception_ptr failed;
    bool booted = false;
    try {
        if (spec.kind != oci::Kind::container) {
            std::function<void(const std::string&)> death = [this](const std::string& why) {
                on_death(why);
            };
            co_await sandbox_.boot(spec, std::move(death));
            booted = true;
        }
        if (spec.kind != oci::Kind::sandbox) {
            std::vector<Sandbox::Rootfs> rootfs;
            for (const auto& mount : request.rootfs())
                rootfs.push_back({mount.type(),
                                  mount.source(),
                                  {mount.options().begin(), mount.options().end()}});
            std::filesystem::path bundle(request.bundle());
            made->spec = co_await sandbox_.add(made->id, spec, bundle, rootfs);
            made->spec.process.terminal = request.terminal();
            made->spec.process.seccomp = std::move(seccomp);
        }
    } catch (...) {
        failed = std::current_exception();
    }
    if (failed) {
        if (booted)
            co_await sandbox_.stop();
        if (const auto found = containers_.find(made->id);
            found != containers_.end() && found->second == made)
            containers_.erase(found);
        made->made.set(false);
        std::rethrow_exception(failed);
    }
    made->made.set(true);
    last_pid_ = pid();
    events::TaskCreate event;
    event.set_container_id(made->id);
    event.set_bundle(made->bundle);
    *event.mutable_rootfs() = request.rootfs();
    event.mutable_io()->set_stdin(request.stdin());
    event.mutable_io()->set_stdout(request.stdout());
    event.mutable_io()->set_stderr(request.stderr());
    event.mutable_io()->set_terminal(request.terminal());
    event.set_pid(last_pid_);
    publisher_.publish("/tasks/create", event);
    task::CreateTaskResponse response;
    response.set_pid(last_pid_);
    co_return response.SerializeAsString();
}

awaitable<void> Service::start_in_guest(std::shared_ptr<Container> of,
                                        std::shared_ptr<Process> one) {
    auto& guest = sandbox_.guest();
    auto streams = one->stdio->events();
    streams.exited = [this, one](int status) {
        // 255 is also what every task of a sandbox that dies ends with: this one is the program's
        // own, and the log must be able to tell.
        log_line(status == 255 ? LogLevel::info : LogLevel::debug, "a process has ended",
                 {{"task", one->container_id},
                  {"exec", one->exec_id},
                  {"status", std::to_string(status)}});
        exited(one, Exit{status, system_clock::now()});
    };
    if (one->exec_id.empty())
        streams.oom_kills = [this, weak = std::weak_ptr(of)](std::uint32_t kills) {
            if (const auto container = weak.lock())
                out_of_memory(*container, kills);
        };
    one->number = guest.add_process(std::move(streams));
    agent::Call call;
    if (one->exec_id.empty())
        call = agent::Start{one->number, of->spec};
    else
        call = agent::Exec{one->number, of->id, one->spec};
    std::exception_ptr failed;
    try {
        co_await guest.call(std::move(call), start_limit);
    } catch (...) {
        failed = std::current_exception();
    }
    if (failed) {
        if (sandbox_.running())
            sandbox_.guest().drop_process(one->number);
        // 127 and 126 are a shell's words for it; the error tells which.
        one->life.start_failed(Exit{127, system_clock::now()});
        one->stdio->guest_ended();
        one->ended.set(*one->life.exit());
        std::rethrow_exception(failed);
    }
    if (sandbox_.running())
        one->stdio->run(sandbox_.guest(), one->number);
}

Service::Bytes Service::start(std::string payload) {
    const auto request = parsed<task::StartRequest>(payload);
    const auto of = container(request.id());
    const auto one = process(request.id(), request.exec_id());
    require_machine();
    if (!of->made.ready())
        throw Error(Code::failed_precondition, "the task is being created");
    const bool in_guest = of->kind != oci::Kind::sandbox || !one->exec_id.empty();
    if (in_guest)
        (void)
            sandbox_.guest(); // throws while the machine's end is being looked into: nothing waits
    one->life.begin_start();
    if (in_guest)
        co_await start_in_guest(of, one);
    if (one->exec_id.empty()) {
        events::TaskStart event;
        event.set_container_id(of->id);
        event.set_pid(last_pid_);
        publisher_.publish("/tasks/start", event);
    } else {
        events::TaskExecStarted event;
        event.set_container_id(of->id);
        event.set_exec_id(one->exec_id);
        event.set_pid(last_pid_);
        publisher_.publish("/tasks/exec-started", event);
    }
    // Only now: an exit must not be told before its start.
    if (const auto exit = one->life.started()) {
        publish_exit(*one);
        one->ended.set(*exit);
    }
    task::StartResponse response;
    response.set_pid(last_pid_);
    co_return response.SerializeAsString();
}

void Service::exited(const std::shared_ptr<Process>& one, Exit exit) {
    if (!one->life.exited(exit))
        return;
    publish_exit(*one);
    one->ended.set(exit);
}

void Service::publish_exit(const Process& one) {
    events::TaskExit event;
    event.set_container_id(one.container_id);
    event.set_id(one.event_id());
    event.set_pid(last_pid_);
    event.set_exit_status(static_cast<std::uint32_t>(one.life.exit()->status));
    set_time(*event.mutable_exited_at(), one.life.exit()->at);
    publisher_.publish("/tasks/exit", event);
}

void Service::out_of_memory(Container& of, std::uint32_t kills) {
    if (!of.ooms.admits(Pace::Clock::now()))
        return;
    log_info("the guest's kernel has ended processes of a container for want of memory",
             {{"task", of.id}, {"so_far", std::to_string(kills)}});
    events::TaskOOM event;
    event.set_container_id(of.id);
    publisher_.publish("/tasks/oom", event);
}

void Service::on_death(const std::string& why) {
    log_error("every task of the sandbox ends with it, with exit status 255", {{"why", why}});
    for (const auto& [id, of] : containers_) {
        auto all = of->execs;
        all[""] = of->first;
        for (const auto& [name, one] : all) {
            one->stdio->guest_ended();
            exited(one, Exit{255, system_clock::now()});
        }
    }
}

awaitable<void> Service::stop() {
    co_await sandbox_.stop();
    if (!containers_.empty())
        on_death("the shim is told to end");
}

} // namespace kata_vfio::shim
