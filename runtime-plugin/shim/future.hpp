// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <utility>

namespace kata_vfio::shim {

/// One value that is set once and waited for by any number of coroutines of the same thread. A
/// handle: copies share the value.
template <class T>
class Future {
  public:
    explicit Future(boost::asio::io_context& io) : state_(std::make_shared<State>(io)) {}

    /// The first value stays.
    void set(T value) const {
        if (state_->value)
            return;
        state_->value = std::move(value);
        state_->timer.cancel();
    }
    bool ready() const noexcept { return state_->value.has_value(); }
    const T& value() const { return *state_->value; }

    boost::asio::awaitable<T> wait() const { return waiting(state_); }
    /// nullopt when the time ran out first.
    boost::asio::awaitable<std::optional<T>> wait_for(std::chrono::milliseconds limit) const {
        return waiting_for(state_, limit);
    }

  private:
    struct State {
        explicit State(boost::asio::io_context& io)
            : timer(io, std::chrono::steady_clock::time_point::max()) {}
        boost::asio::steady_timer timer;
        std::optional<T> value;
    };
    static boost::asio::awaitable<T> waiting(std::shared_ptr<State> state) {
        while (!state->value)
            co_await state->timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
        co_return *state->value;
    }
    static boost::asio::awaitable<std::optional<T>> waiting_for(std::shared_ptr<State> state,
                                                                std::chrono::milliseconds limit) {
        using namespace boost::asio::experimental::awaitable_operators;
        if (!state->value) {
            boost::asio::steady_timer timer(state->timer.get_executor(), limit);
            co_await (waiting(state) || timer.async_wait(boost::asio::use_awaitable));
        }
        co_return state->value;
    }

    std::shared_ptr<State> state_;
};

} // namespace kata_vfio::shim
