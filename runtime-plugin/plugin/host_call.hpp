// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/plugin/inbox.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cstddef>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace kata_vfio::plugin {

/// Threads that may block, and the way back from them.
struct HostPool {
    HostPool(Inbox& loop, std::size_t count) : inbox(loop), threads(count) {}

    Inbox& inbox;
    boost::asio::thread_pool threads;
};

/// What a host call gives when it has no value of its own.
struct Done {};

/// Runs `f` on a thread of `pool` and resumes the coroutine on the loop with the result:
/// sysfs writes can block in the kernel, and must not stop the loop that reads QMP.
///
/// Not cancellable: every host call is bounded by a deadline of its own, and its outcome must be
/// known to be undone. `f` is named by the caller (g++ 12 destroys a capturing lambda temporary
/// inside co_await twice) and must live until the call is over, which a local does.
template <class F>
auto on_host(HostPool& pool, F& f) {
    using Plain = std::invoke_result_t<F&>;
    using Value = std::conditional_t<std::is_void_v<Plain>, Done, Plain>;
    using Result = std::optional<Value>; // movable from nothing when f threw
    return boost::asio::async_initiate<const boost::asio::use_awaitable_t<>,
                                       void(std::exception_ptr, Result)>(
        [&pool, &f](auto handler) {
            auto work = [&f, &inbox = pool.inbox, handler = std::move(handler)]() mutable {
                std::exception_ptr error;
                Result result;
                try {
                    if constexpr (std::is_void_v<Plain>) {
                        f();
                        result.emplace();
                    } else {
                        result.emplace(f());
                    }
                } catch (...) {
                    error = std::current_exception();
                }
                // Moved: the last holder of an exception is then the loop.
                inbox.post([handler = std::move(handler), error = std::move(error),
                            result = std::move(result)]() mutable {
                    std::move(handler)(std::move(error), std::move(result));
                });
            };
            boost::asio::post(pool.threads, std::move(work));
        },
        boost::asio::use_awaitable);
}

} // namespace kata_vfio::plugin
