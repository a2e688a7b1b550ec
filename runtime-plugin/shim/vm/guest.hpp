// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"
#include "runtime-plugin/agent/protocol/message.hpp"
#include "runtime-plugin/shim/future.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace kata_vfio::shim {

/// What the shim does with what the guest says about one process. Called in the io_context's
/// thread; must not throw.
struct ProcessEvents {
    std::function<void(bool is_stderr, std::string bytes)> output;
    std::function<void(bool is_stderr)> output_end;
    std::function<void(std::uint32_t bytes)> stdin_credit;
    std::function<void(int status)> exited;
    /// Of a container's first process: so many of the container's have been ended for want of
    /// memory; more at each call. As often as the guest likes.
    std::function<void(std::uint32_t kills)> oom_kills;
};

/// The shim's end of the connection to the guest's agent. One thread.
///
/// The guest is not trusted: what it sends is bounded and checked (runtime-plugin/agent/protocol),
/// a stream that oversteps its window, a process nobody started or a reply nobody waits for ends
/// the connection, which is the end of the sandbox and of nothing else. One that does not read
/// costs a window of stdin and two numbers for each process, and requests: 16 MiB that wait, and as
/// many that are being written; one more ends it.
class Guest {
  public:
    /// `port`: a connected socket, of whatever family.
    Guest(boost::asio::io_context& io, UniqueFd port);
    ~Guest();
    Guest(const Guest&) = delete;
    Guest& operator=(const Guest&) = delete;

    /// The agent's first word. Throws ttrpc::Error: deadline_exceeded, unavailable,
    /// failed_precondition (it speaks another version).
    boost::asio::awaitable<agent::Hello> hello(std::chrono::milliseconds limit);

    /// Throws ttrpc::Error: what the agent answers (unknown; not_found for ESRCH and ENOENT),
    /// deadline_exceeded, unavailable when the connection ends.
    boost::asio::awaitable<boost::json::object> call(agent::Call call,
                                                     std::chrono::milliseconds limit);

    /// A process number that was not used before; its events from now on.
    std::uint32_t add_process(ProcessEvents events);
    void drop_process(std::uint32_t number);

    /// The caller sends no more than a window beyond what it got stdin_credit for.
    void send_stdin(std::uint32_t number, std::string_view bytes);
    void end_stdin(std::uint32_t number);
    /// So many bytes of the output were passed on. The guest may send as many again once its port
    /// takes the credit.
    void credit(std::uint32_t number, bool is_stderr, std::uint32_t bytes);

    /// Set when the connection is of no more use, with the reason.
    const Future<std::string>& lost() const noexcept;
    /// Whether it is so because the guest broke the protocol.
    bool broke_protocol() const noexcept;

  private:
    struct State;
    std::shared_ptr<State> state_;
};

} // namespace kata_vfio::shim
