// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"
#include "qemu/qmp/session.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace kata_vfio::qemu {

/// Not an aggregate on purpose (see FrameLimits).
struct WireLogOptions {
    std::filesystem::path path;
    std::uint64_t max_bytes = 8u << 20; ///< of one file
    unsigned files = 4;                 ///< kept, the one written to included
    std::vector<std::string> redact;    ///< see Redaction
    /// Bytes waiting for the disk at most; what comes on top is left out and counted in the log.
    std::size_t max_queued = 4u << 20;

    explicit WireLogOptions(std::filesystem::path file) : path(std::move(file)) {}
};

/// Records one connection: what its Session's WireTap sees, and how it ended.
///
/// The session's executor only copies bytes into a bounded queue: framing, redaction and files are
/// a thread's of the log. So nothing here blocks it, throws into it or fails a command: when the
/// disk is slow there is a gap in the log, and when it is full (any error of open or write) the
/// error is reported once and nothing more is logged until the next connection opens its own.
///
/// While the file's directory does not exist the bytes wait in the queue; if it never comes to be
/// nothing is left behind. That is a sandbox refused at its first open.
///
/// All members [any-thread], but for one connection's order of bytes only its executor counts.
class WireLog : public std::enable_shared_from_this<WireLog> {
  public:
    /// Called once, on the log's thread; must not throw. Not after the destructor has returned.
    using ErrorHandler = std::function<void(const Failure&)>;

    /// `where` is the monitor's path. nullptr when no thread can be had, which is reported.
    static std::shared_ptr<WireLog> start(WireLogOptions options, const std::string& where,
                                          ErrorHandler on_error = {});

    /// Ends the log ("closed" unless lost() was called) and gives the disk one second for the rest.
    ~WireLog();
    WireLog(const WireLog&) = delete;
    WireLog& operator=(const WireLog&) = delete;

    /// For Session::connect; keeps the log alive.
    WireTap tap();
    void lost(const Failure& why) noexcept;
    /// An event that followed from this connection's answers (see Monitor).
    void synthesised(const Event& event);

    /// Waits until everything so far is written or given up. Not for the session's executor.
    void flush();

    struct Counters {
        std::uint64_t lines = 0, bytes = 0; ///< written
        std::uint64_t dropped_bytes = 0;    ///< for want of room, or after an error
        std::uint64_t errors = 0;
    };
    Counters counters() const;

    class Impl;
    WireLog(std::shared_ptr<Impl> impl, std::thread thread);

  private:
    std::shared_ptr<Impl> impl_; ///< shared with the thread, which a hanging disk may keep
    std::thread thread_;
};

/// Session::connect with the log, if any, and the reason on record when it fails.
boost::asio::awaitable<std::shared_ptr<Session>>
connect_logged(std::shared_ptr<WireLog> log, std::string socket_path, Timeouts timeouts = {});

} // namespace kata_vfio::qemu
