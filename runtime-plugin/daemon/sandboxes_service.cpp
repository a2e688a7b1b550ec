// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/daemon/sandboxes_service.hpp"

#include "kata_vfio/v1/sandboxes.pb.h"
#include "runtime-plugin/daemon/watch.hpp"
#include "runtime-plugin/rpc/json_message.hpp"

#include <boost/json.hpp>

namespace kata_vfio::daemon {
namespace asio = boost::asio;
namespace json = boost::json;
namespace {

asio::awaitable<void> get(Core& core, const std::string& id, v1::Sandbox& out) {
    if (id.empty())
        throw Failure(Errc::malformed_sandbox_id, "no sandbox is named")
            .remedy("Sandboxes.List has all of them");
    const auto listed = co_await core.list(id);
    rpc::fill(out, listed.at("sandboxes").as_array().at(0).as_object());
}

asio::awaitable<void> open(Core& core, Operation& operation, const v1::OpenRequest& in,
                           v1::Sandbox& out) {
    operation.changes = true;
    operation.subject.sandbox = in.sandbox();
    SandboxHandles::Options options;
    options.qmp_socket = in.qmp_socket();
    options.owner_pid = in.owner_pid();
    options.annotations.insert(in.annotations().begin(), in.annotations().end());
    const bool opened =
        co_await core.sandboxes.open(in.sandbox(), std::move(options), core.started(operation));
    co_await get(core, in.sandbox(), out);
    if (opened)
        core.tell(v1::Event::KIND_SANDBOX_OPENED, &operation,
                  [&](v1::Event& event) { *event.mutable_attachments() = out.attachments(); });
}

asio::awaitable<void> release(Core& core, Operation& operation, const v1::ReleaseRequest& in,
                              v1::ReleaseResponse& out) {
    operation.changes = true;
    operation.subject.sandbox = in.sandbox();
    const auto finished = co_await core.sandboxes.release(in.sandbox(), core.started(operation));
    rpc::fill(out, finished.json);
    core.tell(v1::Event::KIND_SANDBOX_RELEASED, &operation,
              [&](v1::Event& event) { *event.mutable_attachments() = out.detached(); });
}

asio::awaitable<void> list(Core& core, v1::ListResponse& out) {
    const auto listed = co_await core.list("");
    rpc::fill(out, listed);
}

} // namespace

void serve_sandboxes(Gate& gate, Core& core) {
    gate.unary<v1::OpenRequest, v1::Sandbox>(
        "Sandboxes/Open", [&core](Operation& operation, const auto& in, auto& out) {
            return open(core, operation, in, out);
        });
    gate.unary<v1::GetRequest, v1::Sandbox>(
        "Sandboxes/Get", [&core](Operation& operation, const auto& in, auto& out) {
            operation.subject.sandbox = in.sandbox();
            return get(core, in.sandbox(), out);
        });
    gate.unary<v1::ListRequest, v1::ListResponse>(
        "Sandboxes/List", [&core](Operation&, const auto&, auto& out) { return list(core, out); });
    gate.unary<v1::ReleaseRequest, v1::ReleaseResponse>(
        "Sandboxes/Release", [&core](Operation& operation, const auto& in, auto& out) {
            return release(core, operation, in, out);
        });
    gate.stream<v1::WatchRequest>("Sandboxes/Watch", [&core](const v1::WatchRequest& request,
                                                             std::shared_ptr<StreamCall> call) {
        watch(core, request, std::move(call));
    });
}

} // namespace kata_vfio::daemon
