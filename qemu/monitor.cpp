// SPDX-License-Identifier: Apache-2.0
#include "qemu/monitor.hpp"

#include "qemu/use_tuple.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <ostream>
#include <utility>

namespace kata_vfio::qemu {
namespace asio = boost::asio;
namespace {

using Clock = std::chrono::steady_clock;

void stamp(Event& event) {
    using namespace std::chrono;
    const auto now = duration_cast<microseconds>(system_clock::now().time_since_epoch()).count();
    event.seconds = now / 1000000;
    event.microseconds = now % 1000000;
}

} // namespace

std::ostream& operator<<(std::ostream& out, MonitorState state) {
    switch (state) {
    case MonitorState::connected:
        return out << "connected";
    case MonitorState::reconnecting:
        return out << "reconnecting";
    case MonitorState::given_up:
        return out << "given_up";
    case MonitorState::closed:
        return out << "closed";
    }
    return out << "MonitorState(" << static_cast<int>(state) << ')';
}

Monitor::Monitor(asio::any_io_executor executor, Connect connect, Hooks hooks,
                 ReconnectLimits limits)
    : executor_(std::move(executor)), connect_(std::move(connect)), hooks_(std::move(hooks)),
      limits_(limits), bus_(std::make_unique<EventBus>(executor_)), pause_(executor_) {}

asio::awaitable<std::shared_ptr<Monitor>> Monitor::open(Connect connect, Hooks hooks,
                                                        ReconnectLimits limits) {
    const auto executor = co_await asio::this_coro::executor;
    auto self = std::make_shared<Monitor>(executor, std::move(connect), std::move(hooks), limits);
    const auto failed = co_await self->attempt();
    if (failed) {
        self->close();
        throw Failure(*failed);
    }
    self->state_ = MonitorState::connected;
    co_return self;
}

void Monitor::adopt(Connection connection) {
    session_ = std::move(connection.session);
    synthesised_ = std::move(connection.synthesised);
    meanwhile_.clear();
    // Weak and by address: the session is this monitor's own, and its pending work may outlive it.
    auto* session = session_.get();
    session->on_event([weak = weak_from_this(), session](const Event& event) {
        if (const auto self = weak.lock(); self && self->session_.get() == session) {
            if (self->state_ != MonitorState::connected)
                self->meanwhile_.push_back(event);
            self->deliver(event);
        }
    });
    session->on_state(hooks_.state);
    session->on_lost(
        [weak = weak_from_this(), session, told = std::move(connection.lost)](const Failure& why) {
            if (told)
                told(why);
            if (const auto self = weak.lock())
                self->lost(session, why);
        });
}

/// One connection, negotiated, and its answers taken over; or why not.
asio::awaitable<std::optional<Failure>> Monitor::attempt() {
    const bool again = session_ != nullptr;
    std::optional<Failure> failed;
    try {
        auto connection = co_await connect_();
        adopt(std::move(connection));
        const auto session = session_; // close() meanwhile must not take it away
        auto found = co_await ask_what_is_there(*session, again);
        for (const auto& event : meanwhile_)
            found.apply(event);
        if (state_ == MonitorState::closed)
            throw Failure(Errc::cancelled, "the monitor was closed");
        if (again)
            came_back(std::move(found));
        else
            known_ = std::move(found);
    } catch (const Failure& failure) {
        failed = failure;
    } catch (const std::exception& error) { // Asio's own: no descriptor left, ..
        failed = Failure(Errc::internal, "can't connect to QEMU's monitor").said(error.what());
    }
    if (failed && session_)
        session_->close();
    co_return failed;
}

void Monitor::deliver(const Event& event) {
    known_.apply(event);
    bus_->publish(event);
    if (const auto handler = hooks_.event) // a copy: it may close this monitor
        handler(event);
}

void Monitor::lost(const Session* session, const Failure& why) {
    // While connecting, the attempt itself sees the loss.
    if (session != session_.get() || state_ != MonitorState::connected)
        return;
    crashed_ = session->crashed();
    why_ = why;
    asked_ = false;
    state_ = MonitorState::reconnecting;
    if (const auto handler = hooks_.lost)
        handler(why);
    if (state_ == MonitorState::reconnecting)
        begin();
}

void Monitor::begin() {
    state_ = MonitorState::reconnecting;
    since_ = Clock::now();
    // A signal of its own for each round, kept by the handler: Asio looks at it once more behind
    // the coroutine's end, by when the next round may have begun, or the monitor be gone.
    stop_ = std::make_shared<asio::cancellation_signal>();
    auto ended = [stop = stop_](const std::exception_ptr&) {};
    asio::co_spawn(executor_, reconnect(shared_from_this()),
                   asio::bind_cancellation_slot(stop_->slot(), std::move(ended)));
}

asio::awaitable<void> Monitor::reconnect(std::shared_ptr<Monitor> self) {
    co_await asio::this_coro::throw_if_cancelled(false);
    for (ReconnectSituation situation;; ++situation.attempts) {
        situation.error = self->why_->code();
        situation.crashed = self->crashed_;
        situation.elapsed =
            std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - self->since_);
        situation.process_gone = self->hooks_.process_gone && self->hooks_.process_gone();
        const auto pause = retry_after(situation, self->limits_);
        if (!pause) {
            self->give_up(*self->why_);
            co_return;
        }
        self->pause_.expires_after(*pause);
        co_await self->pause_.async_wait(use_tuple);
        if (self->state_ == MonitorState::closed)
            co_return;
        auto failed = co_await self->attempt();
        if (!failed || self->state_ == MonitorState::closed)
            co_return;
        self->why_ = std::move(failed);
    }
}

void Monitor::came_back(LastKnown found) {
    auto missed = missed_events(known_, found);
    known_ = std::move(found);
    state_ = MonitorState::connected;
    why_.reset();
    crashed_ = false;
    wake();
    for (auto& event : missed) {
        stamp(event);
        if (synthesised_)
            synthesised_(event);
    }
    if (const auto handler = hooks_.back)
        handler(missed);
    for (const auto& event : missed)
        deliver(event);
}

void Monitor::give_up(const Failure& why) {
    state_ = MonitorState::given_up;
    wake();
    // Whoever subscribes from now on does it for the connection that may still come.
    const auto old = std::exchange(bus_, std::make_unique<EventBus>(executor_));
    old->close(why);
    if (const auto handler = hooks_.given_up; handler && !asked_)
        handler(why);
}

asio::awaitable<void> Monitor::ready() {
    const auto self = shared_from_this();
    if (connected())
        co_return;
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    const auto cancelled = [&cancellation] {
        return cancellation.cancelled() != asio::cancellation_type::none;
    };
    if (state_ == MonitorState::given_up) {
        asked_ = true; // whoever asks is told by the failure
        begin();
    }
    const bool throwing = co_await asio::this_coro::throw_if_cancelled();
    co_await asio::this_coro::throw_if_cancelled(false);
    auto timer = std::make_shared<asio::steady_timer>(executor_);
    waiting_.push_back(timer);
    while (state_ == MonitorState::reconnecting && !cancelled()) {
        timer->expires_at(asio::steady_timer::time_point::max());
        co_await timer->async_wait(use_tuple);
    }
    co_await asio::this_coro::throw_if_cancelled(throwing);
    if (connected())
        co_return;
    if (state_ == MonitorState::given_up)
        throw Failure(*why_);
    throw Failure(Errc::cancelled, "waiting for QEMU's monitor was cancelled");
}

void Monitor::wake() {
    for (const auto& weak : std::exchange(waiting_, {}))
        if (const auto timer = weak.lock())
            timer->cancel();
}

EventWaiter Monitor::arm(std::function<bool(const Event&)> accept) {
    return EventWaiter(bus_->subscribe(std::move(accept)));
}

void Monitor::close() {
    if (std::exchange(state_, MonitorState::closed) == MonitorState::closed)
        return;
    if (const auto stop = stop_)
        stop->emit(asio::cancellation_type::all);
    pause_.cancel();
    if (session_)
        session_->close();
    bus_->close(Failure(Errc::cancelled, "the monitor was closed"));
    wake();
}

} // namespace kata_vfio::qemu
