// SPDX-License-Identifier: Apache-2.0
// Not to be included: as config/base/precompiled.hpp, for what links Asio (qemu and all above it).
#pragma once

#include "config/base/precompiled.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
