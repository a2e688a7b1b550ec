// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/daemon/devices_service.hpp"

#include "kata_vfio/v1/devices.pb.h"
#include "kata_vfio/v1/operations.pb.h"
#include "runtime-plugin/rpc/json_message.hpp"

#include <boost/json.hpp>

namespace kata_vfio::daemon {
namespace asio = boost::asio;
namespace json = boost::json;
namespace {

/// What Attach and Plan have in common.
template <class Request>
asio::awaitable<json::object> plug(Core& core, Operation& operation, const Request& in,
                                   std::uint32_t flags) {
    operation.subject = {in.sandbox(), in.device()};
    const auto lease = co_await core.sandboxes.acquire(in.sandbox(), core.started(operation));
    auto& instance = lease.instance();
    PluginInstance::Start start = [&](kata_vfio_call_t* call) {
        kata_vfio_attach_t request = KATA_VFIO_INIT(request);
        request.flags = flags;
        request.device = view(in.device());
        request.uuid = view(in.uuid());
        return instance.entry().attach(lease.handle(), &request, call);
    };
    auto finished = co_await instance.call(std::move(start), core.started(operation, instance));
    co_return std::move(finished.json);
}

asio::awaitable<void> attach(Core& core, Operation& operation, const v1::AttachRequest& in,
                             v1::AttachResponse& out) {
    operation.changes = true;
    const auto attached = co_await plug(core, operation, in, in.keep() ? KATA_VFIO_ATTACH_KEEP : 0);
    rpc::fill(out, attached);
    core.tell(v1::Event::KIND_DEVICE_ATTACHED, &operation,
              [&](v1::Event& event) { *event.mutable_attachments() = out.attachments(); });
}

asio::awaitable<void> plan(Core& core, Operation& operation, const v1::PlanRequest& in,
                           v1::PlanResponse& out) {
    const auto planned = co_await plug(core, operation, in, KATA_VFIO_ATTACH_DRY_RUN);
    rpc::fill(out, planned);
}

asio::awaitable<void> detach(Core& core, Operation& operation, const v1::DetachRequest& in,
                             v1::DetachResponse& out) {
    operation.changes = true;
    operation.subject = {in.sandbox(), in.device()};
    const auto lease = co_await core.sandboxes.acquire(in.sandbox(), core.started(operation));
    auto& instance = lease.instance();
    PluginInstance::Start start = [&](kata_vfio_call_t* call) {
        return instance.entry().detach(lease.handle(), view(in.device()), call);
    };
    const auto finished =
        co_await instance.call(std::move(start), core.started(operation, instance));
    rpc::fill(out, finished.json);
    core.tell(v1::Event::KIND_DEVICE_DETACHED, &operation,
              [&](v1::Event& event) { *event.mutable_attachments() = out.detached(); });
}

asio::awaitable<void> list(Core& core, Operation& operation, const v1::ListDevicesRequest& in,
                           v1::ListDevicesResponse& out) {
    operation.subject.sandbox = in.sandbox();
    if (in.sandbox().empty())
        throw Failure(Errc::malformed_sandbox_id, "no sandbox is named")
            .remedy("Sandboxes.List has all of them");
    const auto listed = co_await core.list(in.sandbox());
    for (const auto& sandbox : listed.at("sandboxes").as_array())
        rpc::fill(out,
                  {{"sandbox", sandbox.at("sandbox")}, {"attachments", sandbox.at("attachments")}});
}

} // namespace

void serve_devices(Gate& gate, Core& core) {
    gate.unary<v1::AttachRequest, v1::AttachResponse>(
        "Devices/Attach", [&core](Operation& operation, const auto& in, auto& out) {
            return attach(core, operation, in, out);
        });
    gate.unary<v1::DetachRequest, v1::DetachResponse>(
        "Devices/Detach", [&core](Operation& operation, const auto& in, auto& out) {
            return detach(core, operation, in, out);
        });
    gate.unary<v1::ListDevicesRequest, v1::ListDevicesResponse>(
        "Devices/List", [&core](Operation& operation, const auto& in, auto& out) {
            return list(core, operation, in, out);
        });
    gate.unary<v1::PlanRequest, v1::PlanResponse>(
        "Devices/Plan", [&core](Operation& operation, const auto& in, auto& out) {
            return plan(core, operation, in, out);
        });
}

void serve_operations(Gate& gate, Core& core) {
    // Not an operation itself: its request_id is another's.
    gate.immediate<v1::CancelRequest, v1::CancelResponse>(
        "Operations/Cancel", [&core](const v1::CancelRequest& request) {
            v1::CancelResponse response;
            response.set_running(core.operations.cancel(request.request_id()));
            return response;
        });
}

} // namespace kata_vfio::daemon
