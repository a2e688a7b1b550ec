// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "qemu/qmp/session.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace kata_vfio::qemu {

/// One subscription: a bounded queue and somebody who may be asleep on it.
struct EventWaiter::State {
    static constexpr std::size_t capacity = 64;

    State(const boost::asio::any_io_executor& executor, std::function<bool(const Event&)> predicate)
        : accept(std::move(predicate)), wake(executor) {}

    std::function<bool(const Event&)> accept;
    std::deque<Event> queue;
    std::uint64_t overflowed = 0;
    std::optional<Failure> lost;
    boost::asio::steady_timer wake; ///< cancelled when something was queued or the session was lost
};

/// Hands each event to whoever subscribed before it came. Never blocks, never grows beyond the
/// subscribers' bounds. Same executor as its session.
class EventBus {
  public:
    explicit EventBus(boost::asio::any_io_executor executor) : executor_(std::move(executor)) {}

    /// Ends when the last reference to the state goes.
    std::shared_ptr<EventWaiter::State> subscribe(std::function<bool(const Event&)> accept);
    void publish(const Event& event);
    /// Wakes everybody; later subscriptions are lost from the start.
    void close(const Failure& why);

  private:
    boost::asio::any_io_executor executor_;
    std::vector<std::weak_ptr<EventWaiter::State>> subscribers_;
    std::optional<Failure> lost_;
};

} // namespace kata_vfio::qemu
