// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/vm/console.hpp"

#include "config/base/failure.hpp"
#include "runtime-plugin/shim/vm/child_log.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace kata_vfio::shim {
namespace asio = boost::asio;

Console::Console(asio::io_context& io, const std::filesystem::path& log, UniqueFd& write_end)
    : path_(log) {
    std::array<int, 2> ends{-1, -1};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
        throw Failure(Errc::internal, "can't make a pipe for the guest's console").sys(errno);
    write_end.reset(ends[1]);
    reader_ = PipeLog::start(io, UniqueFd(ends[0]), log);
}

Console::~Console() {
    reader_->close();
}

std::string Console::end() {
    reader_->take();
    constexpr std::size_t told = 3000;
    return last_words(path_, told);
}

} // namespace kata_vfio::shim
