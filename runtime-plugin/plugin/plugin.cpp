// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/plugin.hpp"

#include "config/base/text.hpp"
#include "runtime-plugin/plugin/sandbox_id.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/json.hpp>

#include <algorithm>
#include <csignal>
#include <future>
#include <vector>

namespace kata_vfio::plugin {
namespace asio = boost::asio;
namespace {

/// The plugin's threads take none of the host's signals: its handlers must run on threads of its
/// own.
class SignalsBlocked {
  public:
    SignalsBlocked() {
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &earlier_);
    }
    ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &earlier_, nullptr); }
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;

  private:
    sigset_t earlier_;
};

/// The caller's own bytes in a text: quoted()'s escapes without its quotes.
std::string printable(const std::string& device) {
    const auto escaped = quoted(device);
    return escaped.substr(1, escaped.size() - 2);
}

asio::awaitable<Outcome> run_operation(std::function<asio::awaitable<Outcome>(const Caller&)> body,
                                       Caller caller) {
    co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
    co_await asio::this_coro::throw_if_cancelled(false);
    co_return co_await body(caller);
}

} // namespace

Plugin::Plugin(vfio::HostRoot root, Configured configured, HostServices services)
    : context_(std::move(root), std::move(configured), std::move(services)) {
    context_.pending.on_end([this](const std::string& id) { resume(id); });
    context_.wake = [this](const std::string& id) { tend(id); };
    const SignalsBlocked blocked;
    loop_ = std::thread([this] { context_.io.run(); }); // until the inbox is closed
}

Plugin::~Plugin() {
    // First, so that no watch starts a call after the last one was waited for.
    std::promise<void> unwatched;
    context_.inbox.post([this, &unwatched] {
        context_.pending.close();
        context_.wake = [](const std::string&) {};
        unwatched.set_value();
    });
    unwatched.get_future().wait();
    {
        std::unique_lock lock(mutex_);
        for (const auto& [ticket, call] : calls_)
            cancel_locked(ticket, *call);
        finished_.wait(lock, [this] { return calls_.empty(); });
    }
    std::promise<void> closed;
    context_.inbox.post([this, &closed] {
        for (const auto& [id, weak] : sandboxes_)
            if (const auto sandbox = weak.lock())
                sandbox->close();
        sandboxes_.clear();
        closed.set_value();
    });
    closed.get_future().wait();
    context_.host_pool.threads.join();
    context_.inbox.post([this] { context_.inbox.close(); });
    loop_.join();
}

void Plugin::start(const Sandbox* sandbox, Operation operation, Completion done,
                   const Started& started) {
    auto call = std::make_shared<Call>();
    call->sandbox = sandbox;
    call->done = std::move(done);
    Ticket ticket = 0;
    {
        const std::lock_guard lock(mutex_);
        ticket = next_++;
        calls_.emplace(ticket, call);
    }
    started(ticket);
    context_.inbox.post([this, call, ticket, body = std::move(operation)]() mutable {
        auto ended = [this, ticket](std::exception_ptr error, Outcome outcome) {
            if (error) {
                outcome.failure = failure_from(error);
                outcome.json = failure_json(*outcome.failure);
            }
            finish(ticket, std::move(outcome));
        };
        asio::co_spawn(context_.io, run_operation(std::move(body), Caller{ticket, call->cancelled}),
                       asio::bind_cancellation_slot(call->signal.slot(), std::move(ended)));
    });
}

void Plugin::finish(Ticket ticket, Outcome outcome) {
    std::shared_ptr<Call> call;
    {
        const std::lock_guard lock(mutex_);
        call = calls_.at(ticket);
    }
    call->done(ticket, std::move(outcome));
    const std::lock_guard lock(mutex_);
    calls_.erase(ticket);
    finished_.notify_all();
}

void Plugin::cancel_on_loop(Ticket ticket) {
    std::shared_ptr<Call> call;
    {
        const std::lock_guard lock(mutex_);
        if (const auto found = calls_.find(ticket); found != calls_.end())
            call = found->second;
    }
    if (call)
        call->signal.emit(asio::cancellation_type::total);
}

void Plugin::cancel_locked(Ticket ticket, Call& call) {
    call.cancelled->store(true);
    context_.inbox.post([this, ticket] { cancel_on_loop(ticket); });
}

void Plugin::cancel(Ticket ticket) {
    const std::lock_guard lock(mutex_);
    if (const auto found = calls_.find(ticket); found != calls_.end())
        cancel_locked(ticket, *found->second);
}

void Plugin::close(const std::shared_ptr<Sandbox>& sandbox) {
    const auto ours = [&](const auto& entry) { return entry.second->sandbox == sandbox.get(); };
    context_.inbox.post([sandbox] { sandbox->end_waits(); });
    {
        std::unique_lock lock(mutex_);
        for (const auto& entry : calls_)
            if (ours(entry))
                cancel_locked(entry.first, *entry.second);
        finished_.wait(lock, [&] {
            return std::none_of(calls_.begin(), calls_.end(), [&](const auto& entry) {
                return ours(entry) || entry.second->visiting == sandbox.get();
            });
        });
    }
    std::promise<void> closed;
    context_.inbox.post([this, &closed, &sandbox] {
        sandbox->close();
        if (const auto found = sandboxes_.find(sandbox->id());
            found != sandboxes_.end() && found->second.lock() == sandbox)
            sandboxes_.erase(found);
        closed.set_value();
    });
    closed.get_future().wait();
}

void Plugin::open_sandbox(std::string id, Sandbox::OpenRequest request, Completion done,
                          const Started& started) {
    auto body = [this, id = std::move(id),
                 request = std::move(request)](const Caller& caller) mutable {
        return run_open(std::move(id), std::move(request), caller);
    };
    start(nullptr, std::move(body), std::move(done), started);
}

asio::awaitable<Outcome> Plugin::run_open(std::string id, Sandbox::OpenRequest request,
                                          const Caller& caller) {
    id = require_sandbox_id(id);
    if (const auto found = sandboxes_.find(id);
        found != sandboxes_.end() && !found->second.expired())
        throw Failure(Errc::sandbox_busy, "sandbox " + id + " is open already")
            .remedy("use the handle you have, or close it first");
    auto sandbox = std::make_shared<Sandbox>(context_, id);
    sandboxes_[id] = sandbox;
    std::exception_ptr error;
    try {
        co_await sandbox->open(request, caller);
    } catch (...) {
        error = std::current_exception();
    }
    if (error) {
        sandbox->close();
        sandboxes_.erase(id);
        auto failure = failure_from(error);
        throw failure.during("open sandbox " + id);
    }
    Outcome outcome;
    outcome.json = {{"sandbox", id}};
    outcome.sandbox = std::move(sandbox);
    co_return outcome;
}

void Plugin::attach(std::shared_ptr<Sandbox> sandbox, Sandbox::AttachRequest request,
                    Completion done, const Started& started) {
    const auto* owner = sandbox.get();
    auto body = [sandbox = std::move(sandbox),
                 request = std::move(request)](const Caller& caller) -> asio::awaitable<Outcome> {
        std::exception_ptr error;
        try {
            auto outcome = co_await sandbox->attach(request, caller);
            co_return outcome;
        } catch (...) {
            error = std::current_exception();
        }
        auto failure = failure_from(error);
        throw failure.during("attach " + printable(request.device) + " to sandbox " +
                             sandbox->id());
    };
    start(owner, std::move(body), std::move(done), started);
}

void Plugin::detach(std::shared_ptr<Sandbox> sandbox, std::string device, Completion done,
                    const Started& started) {
    const auto* owner = sandbox.get();
    auto body = [sandbox = std::move(sandbox),
                 device = std::move(device)](const Caller& caller) -> asio::awaitable<Outcome> {
        std::exception_ptr error;
        try {
            auto outcome = co_await sandbox->detach(device, caller);
            outcome.json = {{"sandbox", sandbox->id()}, {"detached", attachments_json(outcome)}};
            co_return outcome;
        } catch (...) {
            error = std::current_exception();
        }
        auto failure = failure_from(error);
        throw failure.during("detach " + printable(device) + " from sandbox " + sandbox->id());
    };
    start(owner, std::move(body), std::move(done), started);
}

void Plugin::release(std::string id, Completion done, const Started& started) {
    auto body = [this, id = std::move(id)](const Caller& caller) mutable {
        return run_release(std::move(id), caller);
    };
    start(nullptr, std::move(body), std::move(done), started);
}

asio::awaitable<Outcome> Plugin::run_release(std::string id, const Caller& caller) {
    id = require_sandbox_id(id);
    std::error_code ec;
    if (!std::filesystem::exists(context_.state.sandbox(id), ec))
        throw not_known(id);
    std::shared_ptr<Sandbox> sandbox;
    if (const auto found = sandboxes_.find(id); found != sandboxes_.end())
        sandbox = found->second.lock();
    const bool open = sandbox != nullptr;
    if (open) { // so that a close of its handle waits for this call too
        const std::lock_guard lock(mutex_);
        calls_.at(caller.ticket)->sandbox = sandbox.get();
    }
    if (!open)
        sandbox = std::make_shared<Sandbox>(context_, id);
    std::exception_ptr error;
    try {
        auto outcome = co_await sandbox->release(caller);
        outcome.json = {
            {"sandbox", id}, {"released", true}, {"detached", attachments_json(outcome)}};
        co_return outcome;
    } catch (...) {
        error = std::current_exception();
    }
    if (!open)
        sandbox->close();
    throw failure_from(error);
}

void Plugin::list(std::string id, Completion done, const Started& started) {
    auto body = [this, id = std::move(id)](const Caller&) -> asio::awaitable<Outcome> {
        co_return run_list(id);
    };
    start(nullptr, std::move(body), std::move(done), started);
}

Failure Plugin::not_known(const std::string& id) const {
    Failure failure(Errc::sandbox_not_found, "sandbox " + id + " is not known here");
    if (context_.config_refused)
        failure.blocked_by("the configuration, which is wrong or missing: only the default state "
                           "directory, " +
                           context_.state.path().string() + ", was looked at");
    return failure.remedy("kata-vfio list shows those that are");
}

Outcome Plugin::run_list(const std::string& id) {
    Outcome outcome;
    std::vector<std::string> ids;
    if (id.empty()) {
        ids = context_.state.sandbox_ids(); // sorted
        listed_.keep(
            [&](const auto& each) { return std::binary_search(ids.begin(), ids.end(), each); });
    } else {
        ids.push_back(require_sandbox_id(id));
    }
    boost::json::array sandboxes, unreadable;
    for (const auto& each : ids) {
        std::optional<SandboxState> state;
        try {
            state = listed_.load(each, context_.state.sandbox(each));
        } catch (const Failure& failure) {
            // Asked for all: one that is damaged must not hide the others.
            if (!id.empty())
                throw;
            context_.log(LogLevel::error, failure.what());
            unreadable.push_back({{"sandbox", each}, {"error", failure_json(failure)}});
            continue;
        }
        if (!state && id.empty())
            continue; // being made or removed at this moment
        if (!state)
            throw not_known(id);
        sandboxes.push_back(sandbox_json(*state));
        for (const auto& attachment : state->attachments)
            outcome.attachments.emplace_back(each, attachment);
        outcome.sandboxes.push_back(std::move(*state));
    }
    outcome.json = {{"sandboxes", std::move(sandboxes)}, {"unreadable", std::move(unreadable)}};
    return outcome;
}

} // namespace kata_vfio::plugin
