// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/daemon/operations.hpp"

#include "config/base/text.hpp"
#include "config/base/utf8.hpp"
#include "runtime-plugin/plugin/outcome.hpp"
#include "runtime-plugin/plugin/sandbox_id.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>

#include <algorithm>

namespace kata_vfio::daemon {
namespace asio = boost::asio;
namespace {

/// The grammar is a sandbox id's; the wording is its own.
void require_request_id(const std::string& id) {
    const auto allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '.' || c == '_' || c == '-';
    };
    if (id.size() > 128 || !std::all_of(id.begin(), id.end(), allowed))
        throw Failure(Errc::invalid_argument, quoted(id) + " can't be a request id")
            .remedy("1 to 128 characters of A-Z a-z 0-9 . _ -, a UUID for example");
}

/// What tells the request from others, without its id.
std::string content_of(const google::protobuf::Message& request) {
    std::unique_ptr<google::protobuf::Message> copy(request.New());
    copy->CopyFrom(request);
    if (const auto* field = copy->GetDescriptor()->FindFieldByName("request_id"))
        copy->GetReflection()->ClearField(copy.get(), field);
    // Maps (annotations) are serialised in no order of their own: text format sorts them.
    // Not kept itself: it may have 4 MiB, and clients are not each other's adversaries here.
    const auto text = copy->ShortDebugString();
    return std::to_string(text.size()) + ":" + std::to_string(std::hash<std::string>()(text));
}

/// A request's own words, which may have 4 MiB, as they are kept: in answers and events.
void shorten(std::string& text) {
    constexpr std::size_t most = 256;
    if (text.size() > most)
        text = valid_utf8(text.substr(0, most)) + "...";
}

void shorten(rpc::Subject& subject) {
    shorten(subject.sandbox);
    shorten(subject.device);
}

} // namespace

Operations::Operations(asio::io_context& loop, Clock clock)
    : loop_(loop), clock_(clock ? std::move(clock) : std::chrono::steady_clock::now) {}

Operations::Ticket Operations::join(std::string method, std::string request_id,
                                    std::shared_ptr<google::protobuf::Message> request,
                                    std::shared_ptr<google::protobuf::Message> response, Body body,
                                    Done done) {
    require_request_id(request_id);
    forget_old();
    // Only of what is kept to be compared.
    auto content = request_id.empty() ? std::string() : content_of(*request);
    const auto waiter = next_waiter_++;
    if (const auto found = request_id.empty() ? by_id_.end() : by_id_.find(request_id);
        found != by_id_.end()) {
        auto& operation = found->second;
        if (operation->method != method || operation->content != content)
            throw Refused(
                rpc::ServiceRefusal::request_id_reused,
                "request id " + request_id + " was used for " +
                    (operation->method == method ? "another " + method : operation->method));
        Ticket ticket{operation, waiter};
        if (operation->finished)
            done(*operation);
        else
            operation->waiters.emplace(waiter, std::move(done));
        return ticket;
    }
    if (draining_)
        throw Refused(rpc::ServiceRefusal::draining, "kata-vfiod is ending");
    if (running_.size() >= most_running)
        throw Refused(rpc::ServiceRefusal::too_many_calls,
                      std::to_string(running_.size()) + " calls are under way");
    auto operation = std::make_shared<Operation>();
    operation->method = std::move(method);
    operation->request_id = request_id;
    operation->content = std::move(content);
    operation->request = std::move(request);
    operation->response = std::move(response);
    operation->waiters.emplace(waiter, std::move(done));
    operation->began = operation->step_began = clock_();
    if (!request_id.empty())
        by_id_.emplace(request_id, operation);
    running_.emplace(operation.get(), operation);
    start(operation, std::move(body));
    return {operation, waiter};
}

void Operations::start(const std::shared_ptr<Operation>& operation, Body body) {
    auto run = [operation, body = std::move(body)]() -> asio::awaitable<void> {
        co_await body(operation);
    };
    auto ended = [this, operation](const std::exception_ptr& error) { end(operation, error); };
    asio::co_spawn(loop_, std::move(run),
                   asio::bind_cancellation_slot(operation->signal.slot(), std::move(ended)));
}

void Operations::end(const std::shared_ptr<Operation>& operation, const std::exception_ptr& error) {
    operation->reason = "ok";
    shorten(operation->subject);
    if (error) {
        try {
            std::rethrow_exception(error);
        } catch (const Refused& refused) {
            operation->status = rpc::status_of(refused.refusal, refused.message);
            operation->reason = rpc::name(refused.refusal);
        } catch (...) {
            operation->failure = plugin::failure_from(std::current_exception());
            operation->status = rpc::status_of(*operation->failure, operation->subject);
            operation->reason = name(operation->failure->code());
        }
    }
    operation->finished = true;
    operation->request.reset();
    operation->ended = clock_();
    if (!operation->request_id.empty()) {
        operation->kept_bytes = operation->status.error_details().size() +
                                (operation->response ? operation->response->ByteSizeLong() : 0);
        ended_bytes_ += operation->kept_bytes;
        ended_.push_back(operation->request_id);
    }
    running_.erase(operation.get());
    if (on_end)
        on_end(*operation);
    const auto waiters = std::move(operation->waiters);
    operation->waiters.clear();
    for (const auto& [name, done] : waiters)
        done(*operation);
    forget_old();
    if (running_.empty() && idle_)
        std::exchange(idle_, {})();
}

void Operations::give_up(Operation& operation) {
    if (operation.given_up->exchange(true))
        return;
    if (on_give_up)
        on_give_up(operation);
    // What it does first may be to end itself.
    const auto keep = running_.find(&operation);
    const auto kept = keep == running_.end() ? nullptr : keep->second;
    operation.signal.emit(asio::cancellation_type::terminal);
}

void Operations::leave(const Ticket& ticket) {
    auto& operation = *ticket.operation;
    if (operation.waiters.erase(ticket.waiter) == 0 || operation.finished)
        return;
    if (operation.waiters.empty())
        give_up(operation);
}

bool Operations::cancel(const std::string& request_id) {
    const auto found = by_id_.find(request_id);
    if (found == by_id_.end() || found->second->finished)
        return false;
    give_up(*found->second);
    return true;
}

void Operations::refuse_new() {
    draining_ = true;
}

void Operations::cancel_all() {
    const auto running = running_;
    for (const auto& [key, operation] : running)
        give_up(*operation);
}

void Operations::when_idle(std::function<void()> idle) {
    if (running_.empty())
        return idle();
    idle_ = std::move(idle);
}

void Operations::forget_old() {
    const auto now = clock_();
    while (!ended_.empty()) {
        const auto found = by_id_.find(ended_.front());
        if (ended_.size() <= most_remembered && ended_bytes_ <= most_remembered_bytes &&
            now - found->second->ended < remembered_for)
            return;
        ended_bytes_ -= found->second->kept_bytes;
        by_id_.erase(found);
        ended_.pop_front();
    }
}

} // namespace kata_vfio::daemon
