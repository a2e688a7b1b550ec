// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <exception>
#include <functional>
#include <optional>
#include <type_traits>

namespace kata_vfio::daemon {

/// Runs what blocks on the pool, and goes on where it was. A cancellation does not end it: what may
/// be given up asks for that itself.
template <class Result>
boost::asio::awaitable<Result> on_pool(boost::asio::thread_pool& pool,
                                       std::function<Result()> work) {
    namespace asio = boost::asio;
    co_await asio::this_coro::throw_if_cancelled(false);
    const auto back = co_await asio::this_coro::executor;
    std::exception_ptr error;
    std::optional<Result> result;
    co_await asio::post(pool, asio::use_awaitable);
    try {
        result.emplace(work());
    } catch (...) {
        error = std::current_exception();
    }
    co_await asio::post(back, asio::use_awaitable);
    if (error)
        std::rethrow_exception(error);
    co_return std::move(*result);
}

} // namespace kata_vfio::daemon
