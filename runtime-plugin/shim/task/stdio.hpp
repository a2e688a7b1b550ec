// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/shim/vm/guest.hpp"

#include <boost/asio/io_context.hpp>

#include <memory>
#include <string>

namespace kata_vfio::shim {

/// Carries a process's streams between the guest and containerd's fifos. What a fifo's reader does
/// not take is not credited to the guest, which then stops reading the process: nothing piles up.
class Stdio {
  public:
    struct Paths {
        std::string in, out, err; ///< fifos; "": none
        bool terminal = false;
    };
    /// Opens the fifos. Throws ttrpc::Error: invalid_argument (no fifo), unimplemented (binary://
    /// and the like).
    Stdio(boost::asio::io_context& io, Paths paths);
    ~Stdio();
    Stdio(const Stdio&) = delete;
    Stdio& operator=(const Stdio&) = delete;

    const Paths& paths() const noexcept;

    /// The stream part of a process's events; `exited` is left to the caller.
    ProcessEvents events();
    /// The process is there: pass on from now on. `guest` outlives this, or close() comes first.
    void run(Guest& guest, std::uint32_t process);
    /// All that the client has written by now is passed on, then the process's stdin ends.
    void close_stdin();
    /// No more from the guest: what is here is written, then the fifos are closed.
    void guest_ended();
    /// Set when both outputs are written to their end and closed.
    const Future<bool>& done() const noexcept;

  private:
    struct State;
    std::shared_ptr<State> state_;
};

} // namespace kata_vfio::shim
