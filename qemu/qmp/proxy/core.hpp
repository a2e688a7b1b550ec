// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "qemu/qmp/proxy/client.hpp"
#include "qemu/qmp/proxy/policy.hpp"
#include "qemu/qmp/proxy/scheduler.hpp"

#include <cstddef>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

namespace kata_vfio::qemu {

struct ProxyLimits {
    /// As many as systemd's multiplexer takes; each costs at most max_unsent and one answer.
    std::size_t clients = 16;
    /// What a client may leave unread of its answers and events, bytes.
    std::size_t max_unsent = ProxyClient::default_max_unsent;
    std::size_t in_flight = ProxyScheduler::default_in_flight;

    ProxyLimits() {} // not an aggregate on purpose (see FrameLimits)
};

/// All of the proxy but its sockets: the clients, whose turn it is, and what becomes of an answer.
/// Sans-io, single-threaded.
///
/// After each call that may have changed something the owner fetches what is to be sent upstream
/// (next()), writes what the clients have unsent and cuts those of overrun().
class ProxyCore {
  public:
    explicit ProxyCore(ProxyPolicy policy, ProxyLimits limits = {})
        : policy_(policy), limits_(limits), scheduler_(limits.in_flight) {}

    /// QEMU can be reached, and says it is this. Clients are told of a version once one is known.
    void connected(const Greeting& greeting);
    /// It can't: commands are answered with an error until connected() again.
    void disconnected();
    bool is_connected() const noexcept { return connected_; }

    /// nullopt: there are as many clients as may be.
    std::optional<ProxyClientId> join();
    void received(ProxyClientId id, std::string_view bytes);
    /// See ProxyClient. Only where policy lets it pass.
    void received(ProxyClientId id, std::shared_ptr<const UniqueFd> fd);
    void leave(ProxyClientId id);

    struct Forward {
        ProxyTicket ticket;
        Command command;
    };
    std::optional<Forward> next();
    /// The answer of a client that has left is dropped.
    void answered(ProxyTicket ticket, const ProxyAnswer& answer);
    /// There will be no answer; the client is one of those to be cut with QEMU's end.
    void unanswered(ProxyTicket ticket) { (void)scheduler_.done(ticket); }
    void event(const Event& event);

    /// nullptr: it has left.
    ProxyClient* client(ProxyClientId id);
    std::vector<ProxyClientId> clients() const;
    std::size_t in_flight() const noexcept { return scheduler_.in_flight(); }
    const ProxyPolicy& policy() const noexcept { return policy_; }

  private:
    struct Member {
        ProxyClient client;
        std::optional<Command> command; ///< waits for its turn
    };

    void advance(ProxyClientId id, Member& member);

    ProxyPolicy policy_;
    ProxyLimits limits_;
    ProxyScheduler scheduler_;
    Greeting greeting_;
    bool connected_ = false;
    std::map<ProxyClientId, Member> members_;
    ProxyClientId next_id_ = 1;
};

} // namespace kata_vfio::qemu
