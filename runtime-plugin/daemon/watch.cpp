// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/daemon/watch.hpp"

#include "runtime-plugin/daemon/log.hpp"
#include "runtime-plugin/plugin/sandbox_id.hpp"
#include "runtime-plugin/rpc/json_message.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/json.hpp>

#include <unordered_set>

namespace kata_vfio::daemon {
namespace asio = boost::asio;
namespace {

constexpr int most_names = 4096;

struct Watch {
    /// Throws Failure(malformed_sandbox_id, invalid_argument): each event asks for the names.
    Watch(Core& c, v1::WatchRequest r) : core(c), request(std::move(r)) {
        if (request.sandboxes_size() > most_names)
            throw Failure(Errc::invalid_argument, std::to_string(request.sandboxes_size()) +
                                                      " sandboxes are named, more than " +
                                                      std::to_string(most_names))
                .remedy("name none, for all of them");
        for (const auto& name : request.sandboxes())
            only.insert(plugin::require_sandbox_id(name));
        request.clear_sandboxes();
    }

    bool wants(const v1::Event& event) const {
        if (event.kind() == v1::Event::KIND_STEP && !request.steps())
            return false;
        return wants(event.sandbox());
    }
    bool wants(const std::string& sandbox) const { return only.empty() || only.contains(sandbox); }

    std::optional<grpc::Status> too_slow() const {
        if (core.events->reaches(place))
            return std::nullopt;
        return rpc::status_of(rpc::ServiceRefusal::watcher_too_slow,
                              "more than " + std::to_string(EventLog::capacity) +
                                  " events came while this client did not read");
    }

    /// What comes next for this client.
    StreamCall::Next next() {
        if (snapshot) {
            v1::WatchResponse response;
            *response.mutable_snapshot() = std::move(*snapshot);
            snapshot.reset();
            return bytes_of(response);
        }
        if (auto slow = too_slow())
            return *slow;
        while (auto event = core.events->after(place)) {
            place = event->revision();
            if (!wants(*event))
                continue;
            v1::WatchResponse response;
            *response.mutable_event() = *event;
            return bytes_of(response);
        }
        return StreamCall::Wait{};
    }

    Core& core;
    v1::WatchRequest request;
    std::unordered_set<std::string> only; ///< empty: all
    std::uint64_t place = 0;              ///< revision of the last event this client has been given
    std::optional<v1::Snapshot> snapshot;
};

asio::awaitable<void> take_snapshot(std::shared_ptr<Watch> watch) {
    // First the place: what happens during the list is in it, or comes as an event, or both.
    watch->place = watch->core.events->last();
    const auto listed = co_await watch->core.list("");
    v1::ListResponse all;
    rpc::fill(all, listed);
    v1::Snapshot snapshot;
    snapshot.set_revision(watch->place);
    for (auto& sandbox : *all.mutable_sandboxes())
        if (watch->wants(sandbox.sandbox()))
            *snapshot.add_sandboxes() = std::move(sandbox);
    watch->snapshot = std::move(snapshot);
}

grpc::Status why_not(const std::exception_ptr& no_list) {
    try {
        std::rethrow_exception(no_list);
    } catch (const Refused& refused) {
        return rpc::status_of(refused.refusal, refused.message);
    } catch (...) {
        return rpc::status_of(Failure(Errc::host_io, "the sandboxes can't be listed"));
    }
}

void start(const std::shared_ptr<Watch>& watch, const std::shared_ptr<StreamCall>& stream) {
    auto& core = watch->core;
    const std::weak_ptr<StreamCall> weak = stream;
    const auto wake = core.events->subscribe([weak, watch] {
        const auto alive = weak.lock();
        if (!alive)
            return;
        // Also while a write of its is stuck: what it holds is let go.
        if (const auto slow = watch->too_slow())
            alive->finish(*slow);
        else
            alive->wake();
    });
    const auto drain = core.on_drain([weak] {
        if (const auto alive = weak.lock())
            alive->finish(rpc::status_of(rpc::ServiceRefusal::draining, "kata-vfiod is ending"));
    });
    ++core.watchers;
    stream->start([watch] { return watch->next(); },
                  [&core, wake, drain] {
                      core.events->unsubscribe(wake);
                      core.off_drain(drain);
                      --core.watchers;
                  });
}

} // namespace

void watch(Core& core, v1::WatchRequest request, std::shared_ptr<StreamCall> stream) {
    std::shared_ptr<Watch> watch;
    try {
        watch = std::make_shared<Watch>(core, std::move(request));
    } catch (const Failure& failure) {
        return stream->refuse(failure);
    }
    if (watch->request.has_after_revision() &&
        core.events->reaches(watch->request.after_revision())) {
        watch->place = watch->request.after_revision();
        return start(watch, stream);
    }
    asio::co_spawn(core.loop, take_snapshot(watch),
                   [watch, stream](const std::exception_ptr& error) {
                       if (!error)
                           return start(watch, stream);
                       stream->finish(why_not(error));
                   });
}

} // namespace kata_vfio::daemon
