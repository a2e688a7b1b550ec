// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/event_bus.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace kata_vfio::qemu {
namespace asio = boost::asio;

std::shared_ptr<EventWaiter::State> EventBus::subscribe(std::function<bool(const Event&)> accept) {
    auto state = std::make_shared<EventWaiter::State>(executor_, std::move(accept));
    state->lost = lost_;
    subscribers_.push_back(state);
    return state;
}

void EventBus::publish(const Event& event) {
    std::erase_if(subscribers_, [&](const auto& weak) {
        const auto state = weak.lock();
        if (!state)
            return true;
        if (state->accept(event)) {
            if (state->queue.size() < EventWaiter::State::capacity)
                state->queue.push_back(event);
            else
                ++state->overflowed;
            state->wake.cancel();
        }
        return false;
    });
}

void EventBus::close(const Failure& why) {
    lost_ = why;
    for (const auto& weak : subscribers_)
        if (const auto state = weak.lock()) {
            state->lost = why;
            state->wake.cancel();
        }
    subscribers_.clear();
}

EventWaiter::EventWaiter(std::shared_ptr<State> state) : state_(std::move(state)) {}
EventWaiter::EventWaiter(EventWaiter&&) noexcept = default;
EventWaiter& EventWaiter::operator=(EventWaiter&&) noexcept = default;
EventWaiter::~EventWaiter() = default;

std::uint64_t EventWaiter::overflowed() const noexcept {
    return state_->overflowed;
}

asio::awaitable<std::optional<Event>>
EventWaiter::wait_until(std::chrono::steady_clock::time_point deadline, OnCancel mode) {
    const auto state = state_;
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    const auto cancelled = [&cancellation, mode] {
        return mode == OnCancel::abandon &&
               cancellation.cancelled() != asio::cancellation_type::none;
    };
    const bool throwing = co_await asio::this_coro::throw_if_cancelled();
    co_await asio::this_coro::throw_if_cancelled(false);
    bool expired = false;
    while (state->queue.empty() && !state->lost && !expired && !cancelled()) {
        state->wake.expires_at(deadline);
        const auto [error] = co_await state->wake.async_wait(asio::as_tuple(asio::use_awaitable));
        expired = !error;
    }
    co_await asio::this_coro::throw_if_cancelled(throwing);

    if (!state->queue.empty()) {
        auto event = std::move(state->queue.front());
        state->queue.pop_front();
        co_return std::optional<Event>(std::move(event));
    }
    if (state->lost)
        throw *state->lost;
    if (cancelled())
        throw Failure(Errc::cancelled, "waiting for QEMU's event was cancelled");
    co_return std::nullopt;
}

} // namespace kata_vfio::qemu
