// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <sys/types.h>

#include <functional>

namespace kata_vfio::daemon {

/// Accepts on a listening unix socket and tells who has connected (SO_PEERCRED), which gRPC's own
/// listener can't. On the loop's thread.
class Listener {
  public:
    struct Peer {
        uid_t uid = 0;
        pid_t pid = 0; ///< in our pid namespace; 0 when it is not
    };
    /// The connected socket is the callee's.
    using OnConnect = std::function<void(UniqueFd socket, const Peer& peer)>;

    Listener(boost::asio::io_context& loop, int listening_fd, OnConnect on_connect);
    void close();

  private:
    void accept();

    boost::asio::posix::stream_descriptor ready_;
    OnConnect on_connect_;
};

} // namespace kata_vfio::daemon
