// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/daemon/qmp_events.hpp"

#include "qemu/qmp/session.hpp"
#include "runtime-plugin/daemon/core.hpp"
#include "runtime-plugin/plugin/outcome.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/json/serialize.hpp>

namespace kata_vfio::daemon {
namespace asio = boost::asio;

QmpEvents::QmpEvents(std::string qemu_version) {
    v1::EventsResponse connected;
    connected.mutable_connected()->set_qemu_version(std::move(qemu_version));
    bytes_ = connected.ByteSizeLong();
    waiting_.push_back(std::move(connected));
}

void QmpEvents::add(const qemu::Event& event) {
    if (too_slow_)
        return;
    v1::EventsResponse response;
    response.set_event_json(boost::json::serialize(qemu::event_json(event)));
    bytes_ += response.ByteSizeLong();
    waiting_.push_back(std::move(response));
    // One alone is given however large it is: a frame of QMP has a limit of its own.
    if (waiting_.size() <= most_waiting && (bytes_ <= most_bytes || waiting_.size() == 1))
        return;
    too_slow_ =
        rpc::status_of(rpc::ServiceRefusal::watcher_too_slow,
                       std::to_string(waiting_.size()) + " events of " + std::to_string(bytes_) +
                           " bytes came while this client did not read");
    waiting_.clear();
}

void QmpEvents::lost(const Failure& why, const std::string& sandbox) {
    end_ = rpc::status_of(why, {sandbox, ""});
}

StreamCall::Next QmpEvents::next() {
    if (too_slow_)
        return *too_slow_;
    if (!waiting_.empty()) {
        auto message = bytes_of(waiting_.front());
        bytes_ -= waiting_.front().ByteSizeLong();
        waiting_.pop_front();
        return message;
    }
    if (end_)
        return *end_;
    return StreamCall::Wait{};
}

namespace {

void follow(Core& core, const std::shared_ptr<qemu::Session>& session, const std::string& sandbox,
            const std::shared_ptr<StreamCall>& stream) {
    const auto events = std::make_shared<QmpEvents>(session->greeting().version());
    const std::weak_ptr<StreamCall> weak = stream;
    session->on_event([weak, events](const qemu::Event& event) {
        const auto alive = weak.lock();
        if (!alive)
            return;
        events->add(event);
        // Also while a write of its is stuck.
        if (events->too_slow())
            alive->finish(*events->too_slow());
        else
            alive->wake();
    });
    const auto lost = [weak, events, sandbox](const Failure& why) {
        events->lost(why, sandbox);
        if (const auto alive = weak.lock())
            alive->wake();
    };
    session->on_lost(lost);
    if (const auto already = session->lost())
        lost(*already);
    const auto drain = core.on_drain([weak] {
        if (const auto alive = weak.lock())
            alive->finish(rpc::status_of(rpc::ServiceRefusal::draining, "kata-vfiod is ending"));
    });
    stream->start([events] { return events->next(); },
                  [&core, drain, session] {
                      core.off_drain(drain);
                      // This may be a call of the session's own.
                      asio::post(core.loop, [session] { session->close(); });
                  });
}

asio::awaitable<void> connect_and_follow(Core& core, std::string proxy, std::string sandbox,
                                         std::shared_ptr<StreamCall> stream) {
    std::optional<Failure> refused;
    try {
        const auto session = co_await qemu::Session::connect(std::move(proxy));
        follow(core, session, sandbox, stream);
    } catch (...) {
        refused = plugin::failure_from(std::current_exception());
    }
    if (refused)
        stream->refuse(*refused, {sandbox, ""});
}

} // namespace

void stream_events(Core& core, std::string proxy, std::string sandbox,
                   std::shared_ptr<StreamCall> stream) {
    asio::co_spawn(
        core.loop,
        connect_and_follow(core, std::move(proxy), std::move(sandbox), std::move(stream)),
        asio::detached);
}

} // namespace kata_vfio::daemon
