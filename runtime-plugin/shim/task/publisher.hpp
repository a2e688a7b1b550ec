// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/shim/future.hpp"
#include "runtime-plugin/shim/ttrpc/client.hpp"

#include <google/protobuf/message_lite.h>

#include <deque>
#include <memory>
#include <string>

namespace kata_vfio::shim {

/// Tells containerd what happens to tasks, in order: one sender works a queue off. While containerd
/// is away (it may be restarted under running containers) the queue is kept, `most` events at most,
/// the oldest dropped first.
class Publisher {
  public:
    static constexpr std::size_t most = 2048;

    /// `address`: containerd's ttrpc socket.
    Publisher(boost::asio::io_context& io, std::string address, std::string containerd_namespace);

    void publish(const std::string& topic, const google::protobuf::MessageLite& event);
    /// Until all is sent, or the time is over.
    boost::asio::awaitable<void> flush(std::chrono::milliseconds limit);

  private:
    struct State;
    static boost::asio::awaitable<void> send(std::shared_ptr<State> state);
    std::shared_ptr<State> state_;
};

} // namespace kata_vfio::shim
