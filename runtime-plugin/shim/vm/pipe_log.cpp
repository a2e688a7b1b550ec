// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/vm/pipe_log.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace kata_vfio::shim {
namespace asio = boost::asio;

PipeLog::PipeLog(asio::io_context& io, UniqueFd from, const std::filesystem::path& to)
    : pipe_(io, from.release()), log_(to), bytes_(most_at_once) {
    pipe_.non_blocking(true);
}

std::shared_ptr<PipeLog> PipeLog::start(asio::io_context& io, UniqueFd from,
                                        const std::filesystem::path& to) {
    auto made = std::make_shared<PipeLog>(io, std::move(from), to);
    asio::co_spawn(io, collect(made), asio::detached);
    return made;
}

bool PipeLog::take() {
    boost::system::error_code error;
    const auto count = pipe_.read_some(asio::buffer(bytes_), error);
    log_.append({bytes_.data(), count});
    return !error || error == asio::error::would_block || error == asio::error::interrupted;
}

/// Waits, and reads only then: of a read that Asio has begun nothing is known until it tells, which
/// may be behind a take().
asio::awaitable<void> PipeLog::collect(std::shared_ptr<PipeLog> self) {
    for (;;) {
        const auto [error] = co_await self->pipe_.async_wait(
            asio::posix::stream_descriptor::wait_read, asio::as_tuple(asio::use_awaitable));
        if (error || !self->pipe_.is_open() || !self->take())
            co_return;
    }
}

} // namespace kata_vfio::shim
