// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <exception>
#include <functional>
#include <optional>
#include <utility>

namespace kata_vfio::daemon {

/// Runs what blocks on the pool, and goes on where it was. A cancellation does not end it: what may
/// be given up asks for that itself.
template <class Result>
boost::asio::awaitable<Result> on_pool(boost::asio::thread_pool& pool,
                                       std::function<Result()> work) {
    namespace asio = boost::asio;
    co_await asio::this_coro::throw_if_cancelled(false);
    std::exception_ptr error;
    std::optional<Result> result;
    // The work alone goes there. post(pool, use_awaitable) would not take this coroutine along: it
    // goes on by its own executor, which is the loop's.
    auto initiate = [&](auto handler) {
        auto back = asio::get_associated_executor(handler);
        auto keep = asio::make_work_guard(back);
        asio::post(pool, [&work, &result, &error, back, keep = std::move(keep),
                          handler = std::move(handler)]() mutable {
            try {
                result.emplace(work());
            } catch (...) {
                error = std::current_exception();
            }
            asio::post(back, std::move(handler));
        });
    };
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(std::move(initiate),
                                                                         asio::use_awaitable);
    if (error)
        std::rethrow_exception(error);
    co_return std::move(*result);
}

} // namespace kata_vfio::daemon
