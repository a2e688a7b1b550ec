// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/vm/console.hpp"

#include "config/base/failure.hpp"
#include "runtime-plugin/shim/vm/child_log.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <vector>

namespace kata_vfio::shim {
namespace asio = boost::asio;

struct Console::Reader {
    /// All that a pipe holds: one read takes everything that is in it.
    static constexpr std::size_t most_at_once = 64u << 10;

    Reader(asio::io_context& io, UniqueFd from, const std::filesystem::path& to)
        : pipe(io, from.release()), path(to), log(to), bytes(most_at_once) {
        pipe.non_blocking(true);
    }

    /// False when nobody has the other end any more.
    bool take() {
        boost::system::error_code error;
        const auto count = pipe.read_some(asio::buffer(bytes), error);
        log.append({bytes.data(), count});
        return !error || error == asio::error::would_block || error == asio::error::interrupted;
    }

    /// Waits, and reads only then: a read under way would keep what it has read from end().
    static asio::awaitable<void> collect(std::shared_ptr<Reader> self) {
        for (;;) {
            const auto [error] = co_await self->pipe.async_wait(
                asio::posix::stream_descriptor::wait_read, asio::as_tuple(asio::use_awaitable));
            if (error || !self->pipe.is_open() || !self->take())
                co_return;
        }
    }

    asio::posix::stream_descriptor pipe;
    std::filesystem::path path;
    ChildLog log;
    std::vector<char> bytes;
};

Console::Console(asio::io_context& io, const std::filesystem::path& log, UniqueFd& write_end) {
    std::array<int, 2> ends{-1, -1};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
        throw Failure(Errc::internal, "can't make a pipe for the guest's console").sys(errno);
    write_end.reset(ends[1]);
    reader_ = std::make_shared<Reader>(io, UniqueFd(ends[0]), log);
    asio::co_spawn(io, Reader::collect(reader_), asio::detached);
}

Console::~Console() {
    reader_->pipe.close();
}

std::string Console::end() {
    reader_->take();
    constexpr std::size_t told = 3000;
    return last_words(reader_->path, told);
}

} // namespace kata_vfio::shim
