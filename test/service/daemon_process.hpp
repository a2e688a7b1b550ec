// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

namespace kata_vfio::service_test {

/// A kata-vfiod of its own, told of by sd_notify and asked for by its exit status; nothing here
/// waits by time. What it says goes to a file.
class DaemonProcess {
  public:
    /// Files go below `directory`.
    explicit DaemonProcess(std::filesystem::path directory);
    ~DaemonProcess(); ///< kills what still runs

    /// Starts it and waits for READY=1. Throws std::runtime_error with its log when it ended.
    void start(const std::vector<std::string>& args);
    /// As start(), with a listening socket as systemd passes it.
    void start_activated(const std::vector<std::string>& args, int listening);
    void signal(int number) const;
    /// Waits for a notification that has this in it.
    std::string wait_notified(const std::string& part);
    /// Waits for its end; the exit status, or minus the signal.
    int wait();
    bool running() const noexcept { return pid_ > 0; }
    pid_t pid() const noexcept { return pid_; }

    std::string log() const;
    /// Waits until a line with this in it is in the log.
    void wait_log(const std::string& part) const;

  private:
    void spawn(const std::vector<std::string>& args, int listening);

    std::filesystem::path directory_, log_;
    UniqueFd notify_;
    pid_t pid_ = -1;
};

} // namespace kata_vfio::service_test
