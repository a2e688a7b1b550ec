// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"
#include "runtime-plugin/daemon/core.hpp"
#include "runtime-plugin/daemon/listener.hpp"

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <chrono>
#include <deque>
#include <memory>
#include <set>
#include <string>

namespace kata_vfio::daemon {

/// gRPC's side: the services, health and reflection for those who may, and a server that has one
/// answer for those who may not. A connection's peer is known when it is accepted and not later
/// (gRPC has no peer credentials), so each goes to the server it belongs to. One per process.
class Server {
  public:
    /// Throws Failure: host_io (TCP can't be listened on, a TLS file can't be read).
    explicit Server(Core& core);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    /// A client of the unix socket. On the loop's thread.
    void take(UniqueFd socket, const Listener::Peer& peer);
    /// Of the TCP listener; 0 without one.
    int tcp_port() const noexcept { return tcp_port_; }

    void serving(bool yes);
    /// Ends the calls that are still there. Blocks; the loop must be running.
    void shutdown();

  private:
    struct Services;
    struct Doorman;
    using Acceptor = grpc::experimental::ExternalConnectionAcceptor;

    bool allowed(uid_t uid) const;

    Core& core_;
    std::unique_ptr<Services> services_;
    std::unique_ptr<Doorman> doorman_;
    std::unique_ptr<Acceptor> acceptor_, refused_acceptor_;
    std::unique_ptr<grpc::Server> refusing_, serving_;
    int tcp_port_ = 0;
    static constexpr std::size_t most_told = 64;
    /// When connections of users that are not let in were taken, of the last 10 s.
    std::deque<std::chrono::steady_clock::time_point> told_lately_;
    std::set<uid_t> told_; ///< uids whose refusal has been logged
};

} // namespace kata_vfio::daemon
