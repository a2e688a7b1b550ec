// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/task/publisher.hpp"

#include "forward.pb.h"
#include "runtime-plugin/shim/log.hpp"
#include "runtime-plugin/shim/task/timestamp.hpp"
#include "runtime-plugin/shim/ttrpc/status.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

namespace kata_vfio::shim {
namespace asio = boost::asio;
using asio::awaitable;

struct Publisher::State {
    State(asio::io_context& context, std::string address, std::string name)
        : io(context), client(std::move(address)), containerd_namespace(std::move(name)),
          drained(context) {}

    asio::io_context& io;
    ttrpc::Client client;
    std::string containerd_namespace;
    std::deque<std::string> queue; ///< ForwardRequests
    bool sending = false;
    Future<bool> drained;
};

Publisher::Publisher(asio::io_context& io, std::string address, std::string containerd_namespace)
    : state_(std::make_shared<State>(io, std::move(address), std::move(containerd_namespace))) {}

void Publisher::publish(const std::string& topic, const google::protobuf::MessageLite& event) {
    containerd::services::events::ttrpc::v1::ForwardRequest request;
    auto& envelope = *request.mutable_envelope();
    set_time(*envelope.mutable_timestamp(), std::chrono::system_clock::now());
    envelope.set_namespace_(state_->containerd_namespace);
    envelope.set_topic(topic);
    // containerd's registry knows the bare name, not type.googleapis.com/NAME.
    envelope.mutable_event()->set_type_url(event.GetTypeName());
    envelope.mutable_event()->set_value(event.SerializeAsString());
    if (state_->queue.size() == most) {
        log_warning("containerd does not take events; the oldest is dropped", {});
        state_->queue.pop_front();
    }
    state_->queue.push_back(request.SerializeAsString());
    if (state_->sending)
        return;
    state_->sending = true;
    state_->drained = Future<bool>(state_->io);
    asio::co_spawn(state_->io, send(state_), asio::detached);
}

awaitable<void> Publisher::send(std::shared_ptr<State> state) {
    auto pause = std::chrono::milliseconds(100);
    while (!state->queue.empty()) {
        // A copy: the oldest may be dropped meanwhile.
        std::string request = state->queue.front();
        bool taken = false;
        try {
            std::string service = "containerd.services.events.ttrpc.v1.Events";
            std::string method = "Forward";
            std::string payload = request;
            co_await state->client.call(std::move(service), std::move(method), std::move(payload),
                                        std::chrono::seconds(5));
            taken = true;
        } catch (const ttrpc::Error& error) {
            // One that containerd itself refuses is not sent again.
            taken = error.code() != ttrpc::Code::unavailable &&
                    error.code() != ttrpc::Code::deadline_exceeded;
            log_warning("an event was not taken", {{"error", error.what()}});
        }
        if (taken) {
            if (!state->queue.empty() && state->queue.front() == request)
                state->queue.pop_front();
            pause = std::chrono::milliseconds(100);
            continue;
        }
        asio::steady_timer timer(state->io, pause);
        co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
        pause = std::min(pause * 2, std::chrono::milliseconds(5000));
    }
    state->sending = false;
    state->drained.set(true);
}

awaitable<void> Publisher::flush(std::chrono::milliseconds limit) {
    if (state_->sending)
        co_await state_->drained.wait_for(limit);
}

} // namespace kata_vfio::shim
