// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"
#include "runtime-plugin/shim/future.hpp"
#include "runtime-plugin/shim/vm/cgroup.hpp"
#include "runtime-plugin/shim/vm/child_log.hpp"
#include "runtime-plugin/shim/vm/pipe_log.hpp"
#include "runtime-plugin/shim/vm/qemu_user.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::shim {

/// A program that this process runs, and that ends with this object. One thread.
class Child {
  public:
    struct Plan {
        std::vector<std::string> words;     ///< the program first
        std::filesystem::path log;          ///< its words, appended (ChildLog)
        std::vector<int> kept;              ///< descriptors that it is to have, by the same numbers
        std::uint64_t memlock = 0;          ///< RLIMIT_MEMLOCK, at least
        std::uint64_t capabilities = 0;     ///< all that it, as root, may have
        std::optional<QemuUser> user;       ///< else as this process
        std::filesystem::path directory;    ///< where it works; "": where this process does
        const HostCgroup* cgroup = nullptr; ///< that it begins in; none: this process's
    };
    /// Throws Failure when it could not be started at all; what can't be executed ends at once.
    Child(boost::asio::io_context& io, const Plan& plan);
    ~Child(); ///< kills it when it still runs, and waits for its end
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

    pid_t pid() const noexcept { return pid_; }
    /// How it ended, for the log.
    const Future<std::string>& ended() const noexcept { return ended_; }
    void kill() noexcept;

  private:
    static boost::asio::awaitable<void> watch(boost::asio::io_context& io, int pidfd, pid_t pid,
                                              Future<std::string> ended,
                                              std::shared_ptr<PipeLog> words);

    pid_t pid_ = 0;
    UniqueFd pidfd_;
    Future<std::string> ended_;
};

/// Child::ended() of a program that had nothing to complain of.
inline constexpr std::string_view ended_well = "exit status 0";

} // namespace kata_vfio::shim
