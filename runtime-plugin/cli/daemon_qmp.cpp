// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/daemon_qmp.hpp"

#include "runtime-plugin/cli/json_text.hpp"
#include "runtime-plugin/plugin/outcome.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/serialize.hpp>

#include <utility>
#include <variant>

namespace kata_vfio::cli {
namespace asio = boost::asio;
namespace json = boost::json;
namespace {

/// Until the timer is cancelled, or the waiting coroutine is: then true.
asio::awaitable<bool> wait_for(asio::steady_timer& timer) {
    boost::system::error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    const auto state = co_await asio::this_coro::cancellation_state;
    co_return state.cancelled() != asio::cancellation_type::none;
}

} // namespace

DaemonQmp::Work::Work(asio::io_context& loop)
    : ended(loop, asio::steady_timer::time_point::max()) {}

DaemonQmp::DaemonQmp(asio::io_context& loop, const Arguments& arguments)
    : loop_(loop), sandbox_(arguments.sandbox), daemon_(arguments),
      connected_(loop, asio::steady_timer::time_point::max()) {}

DaemonQmp::~DaemonQmp() {
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
    }
    handled_.notify_all();
    daemon_.stop();
    for (const auto& work : works_)
        work->thread.join();
}

std::shared_ptr<DaemonQmp::Work> DaemonQmp::start(Task task) {
    reap();
    const auto work = std::make_shared<Work>(loop_);
    work->thread = std::thread([&loop = loop_, held = std::weak_ptr(work), task = std::move(task)] {
        std::optional<Failure> failure;
        json::object answer;
        try {
            answer = task();
        } catch (...) {
            failure = plugin::failure_from(std::current_exception());
        }
        asio::post(loop, [held, failure = std::move(failure), answer = std::move(answer)] {
            const auto alive = held.lock();
            if (!alive)
                return;
            alive->failure = failure;
            alive->answer = answer;
            alive->done = true;
            alive->ended.cancel();
        });
    });
    works_.push_back(work);
    return work;
}

void DaemonQmp::reap() {
    std::erase_if(works_, [](const auto& work) {
        if (!work->done)
            return false;
        work->thread.join();
        return true;
    });
}

void DaemonQmp::take(const json::object& message) {
    if (const auto* connected = message.if_contains("connected");
        connected && connected->is_object()) {
        version_ = string_at(connected->get_object(), "qemu_version");
        connected_.cancel();
        return;
    }
    const auto* event = message.if_contains("event");
    if (!event || !event->is_object())
        return;
    auto parsed = qemu::parse_message(json::serialize(*event));
    if (const auto* known = std::get_if<qemu::Event>(&parsed); known && handler_)
        handler_(*known);
}

/// In the thread that reads.
void DaemonQmp::post(const json::object& message) {
    {
        std::unique_lock lock(mutex_);
        handled_.wait(lock, [&] { return unhandled_ < most_unhandled || ending_; });
        if (ending_)
            return;
        ++unhandled_;
    }
    asio::post(loop_, [this, message] {
        take(message);
        const std::lock_guard lock(mutex_);
        --unhandled_;
        handled_.notify_all();
    });
}

asio::awaitable<std::string> DaemonQmp::connect() {
    co_await asio::this_coro::throw_if_cancelled(false);
    const auto stream = start([this] {
        std::optional<Failure> why;
        try {
            daemon_.stream("Qmp/Events", {{"sandbox", sandbox_}},
                           [this](const auto& message) { post(message); });
            why = Failure(Errc::host_io, "the daemon has ended the stream of events");
        } catch (...) {
            why = plugin::failure_from(std::current_exception());
        }
        asio::post(loop_, [this, why] {
            lost_ = why;
            connected_.cancel();
        });
        return json::object();
    });
    if (co_await wait_for(connected_))
        throw Failure(Errc::cancelled, "cancelled while it was waited for kata-vfiod");
    if (version_.empty() && lost_)
        throw Failure(*lost_);
    co_return version_;
}

asio::awaitable<json::value> DaemonQmp::execute(qemu::Command command) {
    co_await asio::this_coro::throw_if_cancelled(false);
    const auto work = start([this, request = json::object{{"sandbox", sandbox_},
                                                          {"command", command.name},
                                                          {"arguments", command.arguments}}] {
        return daemon_.call("Qmp/Execute", request);
    });
    if (!work->done && co_await wait_for(work->ended))
        throw Failure(Errc::cancelled,
                      "cancelled while it was waited for QEMU's answer to " + command.name);
    if (work->failure)
        throw Failure(*work->failure);
    co_return work->answer.at("return");
}

} // namespace kata_vfio::cli
