// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/turnstile.hpp"

#include "config/base/failure.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>

namespace kata_vfio::plugin {
namespace asio = boost::asio;

asio::awaitable<Turnstile::Turn> Turnstile::enter() {
    if (!taken_) {
        taken_ = true;
        co_return Turn(*this);
    }
    auto waiter = std::make_shared<Waiter>(
        Waiter{asio::steady_timer(executor_, asio::steady_timer::time_point::max())});
    queue_.push_back(waiter);
    co_await waiter->timer.async_wait(asio::as_tuple(asio::use_awaitable));
    if (waiter->called)
        co_return Turn(*this); // taken_ was handed over, not released
    std::erase(queue_, waiter);
    throw Failure(Errc::cancelled, "cancelled while waiting for the sandbox's turn");
}

void Turnstile::next() {
    if (queue_.empty()) {
        taken_ = false;
        return;
    }
    auto waiter = std::move(queue_.front());
    queue_.pop_front();
    waiter->called = true;
    waiter->timer.cancel();
}

} // namespace kata_vfio::plugin
