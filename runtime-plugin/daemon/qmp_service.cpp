// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/daemon/qmp_service.hpp"

#include "config/base/text.hpp"
#include "kata_vfio/v1/qmp.pb.h"
#include "qemu/qmp/error.hpp"
#include "qemu/qmp/frame.hpp"
#include "qemu/qmp/session.hpp"
#include "runtime-plugin/cli/qmp_text.hpp"
#include "runtime-plugin/daemon/qmp_events.hpp"
#include "runtime-plugin/daemon/wire_tail.hpp"
#include "runtime-plugin/plugin/outcome.hpp"
#include "runtime-plugin/plugin/sandbox_id.hpp"

#include <boost/asio/this_coro.hpp>
#include <boost/json.hpp>

namespace kata_vfio::daemon {
namespace asio = boost::asio;
namespace json = boost::json;
namespace {

std::filesystem::path directory_of(const Core& core, const std::string& sandbox) {
    const auto id = plugin::require_sandbox_id(sandbox);
    const auto directory = core.host().state.sandbox(id);
    std::error_code ignored;
    if (!std::filesystem::exists(directory, ignored))
        throw Failure(Errc::sandbox_not_found, "sandbox " + id + " is not known here")
            .remedy("Sandboxes.List shows those that are");
    return directory;
}

std::string proxy_of(const Core& core, const std::string& sandbox) {
    const auto path = directory_of(core, sandbox) / "qmp.sock";
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored))
        throw Failure(Errc::monitor_missing, "sandbox " + sandbox + " has no QMP socket for others")
            .remedy("set qmp_proxy = \"read-only\" (or \"unsafe\") in the configuration's [vfio] "
                    "table and open the sandbox again");
    return path.string();
}

json::object arguments_of(const std::string& text) {
    if (trim(text).empty())
        return {};
    json::parse_options options;
    options.max_depth = qemu::FrameLimits().max_depth;
    boost::system::error_code error;
    const auto value = json::parse(text, error, {}, options);
    if (error || !value.is_object())
        throw Failure(Errc::invalid_argument, "arguments_json is no JSON object")
            .said(error ? error.message() : "");
    return value.get_object();
}

asio::awaitable<void> execute(Core& core, Operation& operation, const v1::ExecuteRequest& in,
                              v1::ExecuteResponse& out) {
    operation.subject.sandbox = in.sandbox();
    co_await asio::this_coro::throw_if_cancelled(false);
    auto path = proxy_of(core, in.sandbox());
    if (in.command().empty())
        throw Failure(Errc::invalid_argument, "no command is named");
    qemu::Command command(in.command(), arguments_of(in.arguments_json()));
    // Whatever it is may take as long as the slowest.
    qemu::Timeouts patient;
    patient.query = patient.device_del = patient.device_add;
    const auto session = co_await qemu::Session::connect(std::move(path), patient);
    const auto began = std::chrono::steady_clock::now();
    std::optional<Failure> refused;
    try {
        out.set_return_json(json::serialize(co_await session->execute(std::move(command))));
    } catch (const qemu::QmpFailure& failure) {
        refused = cli::qemu_says(failure);
    }
    session->close();
    if (refused) // a name that QEMU does not know is no label
        throw Failure(*refused);
    if (!core.configuration().vfio.qmp_log) // else it is in the sandbox's log
        core.metrics.qmp(in.command(), std::chrono::steady_clock::now() - began);
}

void trace(Core& core, const v1::TraceRequest& request, const std::shared_ptr<StreamCall>& stream) {
    const std::weak_ptr<StreamCall> weak = stream;
    const auto tail = std::make_shared<WireTail>(
        core.loop, directory_of(core, request.sandbox()) / "wire.log", request, [weak] {
            if (const auto alive = weak.lock())
                alive->wake();
        });
    const auto drain = core.on_drain([weak] {
        if (const auto alive = weak.lock())
            alive->finish(rpc::status_of(rpc::ServiceRefusal::draining, "kata-vfiod is ending"));
    });
    tail->begin();
    stream->start(
        [tail]() -> StreamCall::Next {
            if (auto record = tail->next())
                return bytes_of(*record);
            if (auto record = tail->rest())
                return bytes_of(*record);
            if (tail->ended())
                return grpc::Status::OK;
            return StreamCall::Wait{};
        },
        [&core, tail, drain] {
            tail->close();
            core.off_drain(drain);
        });
}

} // namespace

void serve_qmp(Gate& gate, Core& core) {
    gate.unary<v1::ExecuteRequest, v1::ExecuteResponse>(
        "Qmp/Execute", [&core](Operation& operation, const auto& in, auto& out) {
            return execute(core, operation, in, out);
        });
    gate.stream<v1::EventsRequest>("Qmp/Events", [&core](const v1::EventsRequest& request,
                                                         std::shared_ptr<StreamCall> call) {
        try {
            stream_events(core, proxy_of(core, request.sandbox()), request.sandbox(), call);
        } catch (...) {
            call->refuse(plugin::failure_from(std::current_exception()), {request.sandbox(), ""});
        }
    });
    gate.stream<v1::TraceRequest>("Qmp/Trace", [&core](const v1::TraceRequest& request,
                                                       std::shared_ptr<StreamCall> call) {
        try {
            trace(core, request, call);
        } catch (...) {
            call->refuse(plugin::failure_from(std::current_exception()), {request.sandbox(), ""});
        }
    });
}

} // namespace kata_vfio::daemon
