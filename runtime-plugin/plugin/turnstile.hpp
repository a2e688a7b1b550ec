// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include <deque>
#include <memory>
#include <utility>

namespace kata_vfio::plugin {

/// Lets the operations on one sandbox through one at a time, in the order they came. Everything on
/// one executor.
class Turnstile {
  public:
    explicit Turnstile(boost::asio::any_io_executor executor) : executor_(std::move(executor)) {}

    /// Ends the turn when destroyed.
    class Turn {
      public:
        explicit Turn(Turnstile& owner) : owner_(&owner) {}
        Turn(Turn&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)) {}
        Turn& operator=(Turn&&) = delete;
        ~Turn() {
            if (owner_)
                owner_->next();
        }

      private:
        Turnstile* owner_;
    };

    /// Throws Failure(cancelled) when the wait is cancelled; the place in the queue is then given
    /// up.
    boost::asio::awaitable<Turn> enter();

  private:
    void next();

    boost::asio::any_io_executor executor_;
    bool taken_ = false;
    /// A waiter's timer never expires: it is cancelled to say "your turn". Shared so that a waiter
    /// that gave up can be told from one that was called.
    struct Waiter {
        boost::asio::steady_timer timer;
        bool called = false;
    };
    std::deque<std::shared_ptr<Waiter>> queue_;
};

} // namespace kata_vfio::plugin
