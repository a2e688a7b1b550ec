// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kata_vfio/v1/qmp.pb.h"
#include "qemu/qmp/message.hpp"
#include "runtime-plugin/daemon/call.hpp"

#include <boost/asio/io_context.hpp>
#include <grpcpp/support/status.h>

#include <cstddef>
#include <deque>
#include <optional>
#include <string>

namespace kata_vfio::daemon {

/// QEMU's events on their way to one client of Qmp.Events. It never holds QEMU's connection up: a
/// client that is too far behind is cut off. One thread; no I/O.
class QmpEvents {
  public:
    static constexpr std::size_t most_waiting = 4096;
    static constexpr std::size_t most_bytes = 16u << 20; ///< of those that wait

    /// "connected" comes first.
    explicit QmpEvents(std::string qemu_version);

    void add(const qemu::Event& event);
    /// The connection's end: told behind what came before it.
    void lost(const Failure& why, const std::string& sandbox);

    /// Set when the client is too far behind: what waited for it is let go.
    const std::optional<grpc::Status>& too_slow() const noexcept { return too_slow_; }
    StreamCall::Next next();

  private:
    std::deque<v1::EventsResponse> waiting_;
    std::size_t bytes_ = 0;
    std::optional<grpc::Status> end_, too_slow_;
};

class Core;
/// Serves Qmp.Events on a connection of its own to the sandbox's proxy. Returns at once; on the
/// loop's thread.
void stream_events(Core& core, std::string proxy, std::string sandbox,
                   std::shared_ptr<StreamCall> stream);

} // namespace kata_vfio::daemon
