// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/daemon/qmp_service.hpp"

#include "config/base/text.hpp"
#include "qemu/qmp/error.hpp"
#include "qemu/qmp/session.hpp"
#include "runtime-plugin/cli/qmp_text.hpp"
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
    boost::system::error_code error;
    const auto value = json::parse(text, error);
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

using Stream = StreamReactor<v1::TraceRecord>;

void trace(Core& core, const v1::TraceRequest& request, const std::shared_ptr<Stream>& stream) {
    const std::weak_ptr<Stream> weak = stream;
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
        [tail]() -> Stream::Next {
            if (auto record = tail->next())
                return std::move(*record);
            if (tail->ended())
                return grpc::Status::OK;
            return Stream::Wait{};
        },
        [&core, tail, drain] {
            tail->close();
            core.off_drain(drain);
        });
}

} // namespace

grpc::ServerUnaryReactor* QmpService::Execute(grpc::CallbackServerContext*,
                                              const v1::ExecuteRequest* request,
                                              v1::ExecuteResponse* response) {
    Handler<v1::ExecuteRequest, v1::ExecuteResponse> handler = [this](Operation& operation,
                                                                      const auto& in, auto& out) {
        return execute(core_, operation, in, out);
    };
    return unary(core_, request, response, "Qmp/Execute", std::move(handler));
}

grpc::ServerWriteReactor<v1::TraceRecord>* QmpService::Trace(grpc::CallbackServerContext*,
                                                             const v1::TraceRequest* request) {
    return Stream::begin(
        core_.loop, [this, copy = *request](const std::shared_ptr<Stream>& stream) {
            try {
                trace(core_, copy, stream);
            } catch (...) {
                stream->finish(rpc::status_of(plugin::failure_from(std::current_exception()),
                                              {copy.sandbox(), ""}));
            }
        });
}

} // namespace kata_vfio::daemon
