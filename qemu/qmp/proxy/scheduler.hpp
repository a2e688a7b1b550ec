// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>

namespace kata_vfio::qemu {

using ProxyClientId = std::uint64_t;
using ProxyTicket = std::uint64_t;

/// Whose command goes to QEMU next. Pure.
///
/// Round robin: a client has one command at QEMU at a time, as on a monitor without out-of-band,
/// and one that was served queues behind all others that wait.
///
/// Our own traffic goes first by the cap: QEMU takes 8 commands (Multiplexer::max_in_flight), the
/// proxy never has more than half of them under way, so the other half is free for what the plugin
/// does, at any number of clients.
class ProxyScheduler {
  public:
    static constexpr std::size_t default_in_flight = 4;
    explicit ProxyScheduler(std::size_t max_in_flight = default_in_flight)
        : max_in_flight_(max_in_flight) {}

    /// The client has a command; not to be called again before it was started.
    void want(ProxyClientId client) { waiting_.push_back(client); }

    struct Start {
        ProxyTicket ticket;
        ProxyClientId client;
    };
    /// Whose turn it is; nullopt: nobody waits, or the cap is reached.
    std::optional<Start> next();

    /// The command was answered, or will never be. Whose it was; nullopt: that client has left, and
    /// the answer is to be dropped.
    std::optional<ProxyClientId> done(ProxyTicket ticket);

    /// The client's command under way keeps its place until QEMU has answered it.
    void leave(ProxyClientId client);

    std::size_t in_flight() const noexcept { return in_flight_.size(); }

  private:
    std::size_t max_in_flight_;
    std::deque<ProxyClientId> waiting_;
    std::map<ProxyTicket, std::optional<ProxyClientId>> in_flight_;
    ProxyTicket next_ticket_ = 1;
};

} // namespace kata_vfio::qemu
