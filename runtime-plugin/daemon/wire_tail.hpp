// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"
#include "kata_vfio/v1/qmp.pb.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <array>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace kata_vfio::daemon {

/// Follows a sandbox's wire log, from the oldest file on, as it grows and is rotated. One thread at
/// a time; reads of files in a tmpfs, at most 64 KiB at a time, and no more of it is kept.
class WireTail : public std::enable_shared_from_this<WireTail> {
  public:
    /// `wake` is called when there may be more. Throws Failure: host_io (no log, no inotify).
    WireTail(boost::asio::io_context& loop, std::filesystem::path log,
             const v1::TraceRequest& request, std::function<void()> wake);
    void begin();
    void close();

    /// nullopt: nothing at the moment.
    std::optional<v1::TraceRecord> next();
    /// Everything that was there is given, and no more is wanted.
    bool ended() const noexcept { return !follow_ && records_.empty() && drained_; }

  private:
    bool open();
    void open_rotated();
    bool fill();
    void take(std::string_view line);
    void wait();

    std::filesystem::path log_;
    bool follow_, drained_ = false;
    std::function<void()> wake_;
    UniqueFd file_;
    std::vector<UniqueFd> rotated_; ///< read before file_; the oldest last
    std::string rest_;              ///< a line that has not ended yet
    std::deque<v1::TraceRecord> records_;
    boost::asio::posix::stream_descriptor watch_;
    std::array<char, 4096> noise_; ///< inotify's events: that there are some is enough
};

} // namespace kata_vfio::daemon
