// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"
#include "kata_vfio/v1/qmp.pb.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace kata_vfio::daemon {

/// Follows a sandbox's wire log, from the oldest file on, as it grows and is rotated, until its
/// directory is gone (a released sandbox's is). One thread at a time; reads of files in a tmpfs, at
/// most 64 KiB at a time, and no more of it is kept.
class WireTail : public std::enable_shared_from_this<WireTail> {
  public:
    /// `wake` is called when there may be more. Throws Failure: host_io (no log, no inotify).
    WireTail(boost::asio::io_context& loop, std::filesystem::path log,
             const v1::TraceRequest& request, std::function<void()> wake);
    void begin();
    void close();

    /// nullopt: nothing at the moment. What a last line without its newline holds is not given:
    /// the rest of it may come.
    std::optional<v1::TraceRecord> next();
    /// Of a last line without its newline, when no more comes, or is wanted; behind next().
    std::optional<v1::TraceRecord> rest();
    /// Everything that was there is given, and no more comes, or is wanted.
    bool ended() const noexcept { return last() && records_.empty() && drained_; }

  private:
    bool open();
    void open_rotated();
    bool fill();
    void take(std::string_view line, bool complete);
    void wait();
    void heard(std::size_t bytes);
    bool in_place() const;
    bool last() const noexcept { return !follow_ || gone_; }

    std::filesystem::path log_;
    std::pair<dev_t, ino_t> directory_{}; ///< the log's, when it is followed
    bool follow_, drained_ = false, gone_ = false;
    std::function<void()> wake_;
    UniqueFd file_;
    std::vector<UniqueFd> rotated_; ///< read before file_; the oldest last
    std::string rest_;              ///< a line that has not ended yet
    std::deque<v1::TraceRecord> records_;
    boost::asio::posix::stream_descriptor watch_;
    std::array<char, 4096> heard_; ///< inotify's events
};

} // namespace kata_vfio::daemon
