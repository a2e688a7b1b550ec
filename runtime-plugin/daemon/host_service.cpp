// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/daemon/host_service.hpp"

#include "kata_vfio/v1/host.pb.h"
#include "mdev/mdev_type.hpp"
#include "runtime-plugin/cli/bind.hpp"
#include "runtime-plugin/cli/check/check.hpp"
#include "runtime-plugin/cli/check/host_facts.hpp"
#include "runtime-plugin/cli/gpus.hpp"
#include "runtime-plugin/cli/types.hpp"
#include "runtime-plugin/cli/vgpu_make.hpp"
#include "runtime-plugin/cli/vgpus.hpp"
#include "runtime-plugin/daemon/pool.hpp"
#include "runtime-plugin/rpc/json_message.hpp"

#include <boost/json.hpp>

namespace kata_vfio::daemon {
namespace asio = boost::asio;
namespace json = boost::json;
namespace {

using Work = std::function<json::object(const cli::Host&)>;

/// Runs the work on the pool and fills the answer with what it gives.
asio::awaitable<void> answer(Core& core, google::protobuf::Message& response, Work work) {
    std::function<json::object()> bound = [host = core.host(), work = std::move(work)] {
        return work(host);
    };
    const auto object = co_await on_pool<json::object>(core.pool, std::move(bound));
    rpc::fill(response, object);
}

/// A change by hand, and the event that tells of it. One at a time, in the order they came: what a
/// bind and a restore look at, record and write belongs together.
asio::awaitable<void> change(Core& core, Operation& operation, google::protobuf::Message& response,
                             v1::Event::Kind kind, const char* what, Work work) {
    operation.changes = true;
    const auto turn = co_await core.host_changes.enter();
    co_await answer(core, response, std::move(work));
    const auto object = rpc::to_json(response);
    const auto* uuid = object.if_contains("uuid");
    core.tell(kind, &operation, [&](v1::Event& event) {
        event.set_text(what);
        event.set_subject(std::string((uuid ? *uuid : object.at("address")).as_string()));
    });
}

cli::GivenUp given_up(const Operation& operation) {
    return [flag = operation.given_up] { return flag->load(); };
}

asio::awaitable<void> reconcile(Core& core, Operation& operation, const v1::ReconcileRequest& in,
                                v1::ReconcileResponse& out) {
    operation.subject.sandbox = in.sandbox();
    operation.changes = !in.dry_run();
    auto started = core.started(operation);
    out = co_await core.reconcile(in.sandbox(), in.dry_run(), std::move(started));
    if (!in.dry_run())
        core.tell(v1::Event::KIND_RECONCILED, &operation,
                  [&](v1::Event& event) { *event.mutable_reconciled() = out; });
}

} // namespace

void serve_host(Gate& gate, Core& core) {
    gate.unary<v1::CheckRequest, v1::CheckResponse>(
        "Host/Check", [&core](Operation&, const auto&, auto& out) {
            Work work = [](const cli::Host& host) {
                const auto facts = cli::read_host_facts(host.root);
                return cli::check_json(facts, cli::evaluate(facts));
            };
            return answer(core, out, std::move(work));
        });
    gate.unary<v1::ListGpusRequest, v1::ListGpusResponse>(
        "Host/ListGpus", [&core](Operation&, const auto& in, auto& out) {
            Work work = [all = in.all()](const cli::Host& host) {
                cli::OwnerView owners(host);
                auto object = cli::functions_json(cli::list_function_reports(host, all, owners));
                object["note"] = owners.note();
                return object;
            };
            return answer(core, out, std::move(work));
        });
    gate.unary<v1::ListVgpuTypesRequest, v1::ListVgpuTypesResponse>(
        "Host/ListVgpuTypes", [&core](Operation& operation, const auto& in, auto& out) {
            operation.subject.device = in.parent();
            Work work = [parent = in.parent()](const cli::Host& host) {
                return cli::types_json(parent.empty()
                                           ? mdev::list_parents(host.root)
                                           : std::vector{mdev::read_parent(host.root, parent)});
            };
            return answer(core, out, std::move(work));
        });
    gate.unary<v1::ListVgpusRequest, v1::ListVgpusResponse>(
        "Host/ListVgpus", [&core](Operation&, const auto&, auto& out) {
            Work work = [](const cli::Host& host) {
                cli::OwnerView owners(host);
                auto object = cli::vgpus_json(cli::list_vgpu_reports(host, owners));
                object["note"] = owners.note();
                return object;
            };
            return answer(core, out, std::move(work));
        });
    gate.unary<v1::CreateVgpuRequest, v1::Vgpu>(
        "Host/CreateVgpu", [&core](Operation& operation, const auto& in, auto& out) {
            operation.subject.device = in.type();
            Work work = [type = in.type(), uuid = in.uuid(),
                         gone = given_up(operation)](const cli::Host& host) {
                return cli::vgpu_json({cli::make_vgpu(host, type, uuid, gone), std::nullopt});
            };
            return change(core, operation, out, v1::Event::KIND_VGPU, "create", std::move(work));
        });
    gate.unary<v1::RemoveVgpuRequest, v1::RemoveVgpuResponse>(
        "Host/RemoveVgpu", [&core](Operation& operation, const auto& in, auto& out) {
            operation.subject.device = in.uuid();
            Work work = [uuid = in.uuid()](const cli::Host& host) -> json::object {
                const auto gone = cli::remove_vgpu(host, uuid);
                return {{"uuid", gone.uuid.text()},
                        {"type", gone.type},
                        {"parent", gone.parent},
                        {"removed", true}};
            };
            return change(core, operation, out, v1::Event::KIND_VGPU, "remove", std::move(work));
        });
    gate.unary<v1::BindGpuRequest, v1::BindGpuResponse>(
        "Host/BindGpu", [&core](Operation& operation, const auto& in, auto& out) {
            operation.subject.device = in.address();
            Work work = [address = in.address(),
                         gone = given_up(operation)](const cli::Host& host) {
                return cli::bind_json(cli::bind_function(host, address, gone));
            };
            return change(core, operation, out, v1::Event::KIND_GPU, "bind", std::move(work));
        });
    gate.unary<v1::RestoreGpuRequest, v1::RestoreGpuResponse>(
        "Host/RestoreGpu", [&core](Operation& operation, const auto& in, auto& out) {
            operation.subject.device = in.address();
            Work work = [address = in.address()](const cli::Host& host) {
                return cli::restore_json(cli::restore_function(host, address));
            };
            return change(core, operation, out, v1::Event::KIND_GPU, "restore", std::move(work));
        });
    gate.unary<v1::ReconcileRequest, v1::ReconcileResponse>(
        "Host/Reconcile", [&core](Operation& operation, const auto& in, auto& out) {
            return reconcile(core, operation, in, out);
        });
}

} // namespace kata_vfio::daemon
