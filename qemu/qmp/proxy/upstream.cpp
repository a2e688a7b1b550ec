// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/proxy/upstream.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>

#include <chrono>
#include <utility>

namespace kata_vfio::qemu {
namespace asio = boost::asio;
namespace {

asio::awaitable<void> await_loss(std::shared_ptr<EventWaiter> waiter,
                                 std::weak_ptr<ProxyUpstream::Listener> listener) {
    try {
        // Its predicate takes nothing, so that only the loss ends it.
        for (;;)
            (void)co_await waiter->wait_until(std::chrono::steady_clock::now() +
                                              std::chrono::hours(24));
    } catch (const Failure&) {
    }
    if (const auto self = listener.lock())
        self->lost();
}

} // namespace

asio::awaitable<boost::json::value> SessionUpstream::execute(Command command) {
    return session_->execute(std::move(command));
}

void SessionUpstream::listen(std::weak_ptr<Listener> listener) {
    // Posted: whoever waits in execute() is woken by the executor as well, so a reply and an event
    // that arrive in one packet keep their order.
    auto deliver = [executor = executor_, listener](const Event& event) {
        if (!listener.expired())
            asio::post(executor, [listener, event] {
                if (const auto self = listener.lock())
                    self->event(event);
            });
        return false;
    };
    auto waiter = std::make_shared<EventWaiter>(session_->arm(std::move(deliver)));
    asio::co_spawn(executor_, await_loss(std::move(waiter), std::move(listener)), asio::detached);
}

} // namespace kata_vfio::qemu
