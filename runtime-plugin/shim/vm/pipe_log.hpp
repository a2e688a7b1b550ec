// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"
#include "runtime-plugin/shim/vm/child_log.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <cstddef>
#include <filesystem>
#include <memory>
#include <vector>

namespace kata_vfio::shim {

/// What somebody else writes into a pipe, on its way to a log. One thread.
class PipeLog {
  public:
    /// All that a pipe holds (pipe(7)): one read takes everything that is in it, and one who says
    /// much does not keep others waiting.
    static constexpr std::size_t most_at_once = 64u << 10;

    /// Reads until close(), or until nobody has the other end any more. Throws as ChildLog.
    static std::shared_ptr<PipeLog> start(boost::asio::io_context& io, UniqueFd from,
                                          const std::filesystem::path& to);

    /// What is in it now. False when nobody has the other end any more.
    bool take();
    void close() { pipe_.close(); }

    PipeLog(boost::asio::io_context& io, UniqueFd from, const std::filesystem::path& to);

  private:
    static boost::asio::awaitable<void> collect(std::shared_ptr<PipeLog> self);

    boost::asio::posix::stream_descriptor pipe_;
    ChildLog log_;
    std::vector<char> bytes_;
};

} // namespace kata_vfio::shim
