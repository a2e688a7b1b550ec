// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"
#include "runtime-plugin/agent/protocol/frame.hpp"

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>

namespace kata_vfio::agent {

/// One container process as the agent has it: the near ends of its streams, each with its window,
/// and how far it has come. Where it says `send`, a frame goes to the host.
class Process {
  public:
    using Send = std::function<void(FrameType, std::string_view payload)>;

    Process(std::uint32_t number, std::string container, bool first, Send send);

    std::uint32_t number() const noexcept { return number_; }
    const std::string& container() const noexcept { return container_; }
    bool is_first() const noexcept { return first_; } ///< of its container

    /// The near ends: pipes, or `out` alone for a terminal's master.
    void give_pipes(UniqueFd in, UniqueFd out, UniqueFd err);
    void give_terminal(UniqueFd master);
    bool has_terminal() const noexcept { return terminal_; }
    int terminal() const noexcept { return out_.fd.get(); }

    /// Throws ProtocolError when the host sends more than the window has room for.
    void on_stdin(std::string_view bytes);
    void on_stdin_end();
    void on_credit(FrameType type, std::uint32_t bytes);

    struct Wanted {
        int in = -1, out = -1, err = -1; ///< to be polled: for writing, reading, reading
    };
    Wanted wanted() const;
    void write_stdin();                ///< `in` is writable
    void read_output(FrameType which); ///< that stream is readable, or its other end is closed

    bool all_said() const noexcept { return !out_.fd && !err_.fd; }
    /// Streams that are still open are told as ended: nobody listens to them any more.
    void close();

    pid_t pid = 0;
    bool started = false; ///< the host knows that it runs
    std::optional<int> status;

  private:
    struct Output {
        UniqueFd fd;
        std::uint32_t room = window;
    };
    void end_output(FrameType which);
    int stdin_fd() const noexcept { return terminal_ ? out_.fd.get() : in_.get(); }

    std::uint32_t number_;
    std::string container_;
    bool first_;
    Send send_;
    bool terminal_ = false;
    UniqueFd in_;
    std::string pending_; ///< of stdin; at most `window`
    bool stdin_ended_ = false;
    Output out_, err_;
};

} // namespace kata_vfio::agent
