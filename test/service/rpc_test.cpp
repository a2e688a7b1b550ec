// SPDX-License-Identifier: Apache-2.0
// Each RPC once, as it should go.
#include "test/service/service_world.hpp"

#include <thread>
#include <vector>

namespace kata_vfio::service_test {
namespace {

using Rpc = Service;

TEST_F(Rpc, TheHostsGpusTypesAndVgpus) {
    start_daemon();
    {
        grpc::ClientContext context;
        v1::CheckResponse check;
        const auto status = client->host->Check(&context, {}, &check);
        ASSERT_TRUE(status.ok()) << text(status);
        EXPECT_GT(check.checks_size(), 10);
        EXPECT_NE(check.checks(0).verdict(), v1::CheckResponse::VERDICT_UNSPECIFIED);
    }
    {
        grpc::ClientContext context;
        v1::ListGpusResponse gpus;
        const auto status = client->host->ListGpus(&context, {}, &gpus);
        ASSERT_TRUE(status.ok()) << text(status);
        ASSERT_EQ(gpus.functions_size(), 1);
        EXPECT_EQ(gpus.functions(0).address(), gpu);
        EXPECT_EQ(gpus.functions(0).driver(), "i915");
        EXPECT_GT(gpus.functions(0).mdev_types(), 0u);
        EXPECT_EQ(gpus.note(), "");
    }
    v1::ListVgpuTypesResponse types;
    {
        grpc::ClientContext context;
        const auto status = client->host->ListVgpuTypes(&context, {}, &types);
        ASSERT_TRUE(status.ok()) << text(status);
        ASSERT_GT(types.types_size(), 0);
        EXPECT_EQ(types.types(0).parent(), gpu);
        EXPECT_TRUE(types.types(0).has_gvt());
    }
    v1::Vgpu made;
    {
        grpc::ClientContext context;
        v1::CreateVgpuRequest request;
        request.set_type(std::string(type8));
        request.set_uuid(std::string(uuid_a));
        const auto status = client->host->CreateVgpu(&context, request, &made);
        ASSERT_TRUE(status.ok()) << text(status);
        EXPECT_EQ(made.uuid(), uuid_a);
        EXPECT_EQ(made.type(), type8);
        EXPECT_EQ(made.state(), v1::Vgpu::STATE_PRESENT);
        EXPECT_FALSE(made.has_sandbox());
    }
    {
        grpc::ClientContext context;
        v1::ListVgpusResponse vgpus;
        ASSERT_TRUE(client->host->ListVgpus(&context, {}, &vgpus).ok());
        ASSERT_EQ(vgpus.vgpus_size(), 1);
        EXPECT_EQ(vgpus.vgpus(0).SerializeAsString(), made.SerializeAsString());
    }
    {
        grpc::ClientContext context;
        v1::RemoveVgpuRequest request;
        request.set_uuid(std::string(uuid_a));
        v1::RemoveVgpuResponse removed;
        const auto status = client->host->RemoveVgpu(&context, request, &removed);
        ASSERT_TRUE(status.ok()) << text(status);
        EXPECT_TRUE(removed.removed());
    }
}

TEST_F(Rpc, AFunctionIsBoundAndRestored) {
    start_daemon();
    const auto before = snapshot();
    v1::BindGpuRequest bind;
    bind.set_address(std::string(gpu));
    v1::BindGpuResponse bound;
    {
        grpc::ClientContext context;
        const auto status = client->host->BindGpu(&context, bind, &bound);
        ASSERT_TRUE(status.ok()) << text(status);
        EXPECT_EQ(bound.driver(), "vfio-pci");
        EXPECT_EQ(bound.earlier_driver(), "i915");
        EXPECT_TRUE(bound.changed());
        EXPECT_TRUE(bound.viable());
    }
    v1::RestoreGpuRequest restore;
    restore.set_address(std::string(gpu));
    v1::RestoreGpuResponse restored;
    grpc::ClientContext context;
    const auto status = client->host->RestoreGpu(&context, restore, &restored);
    ASSERT_TRUE(status.ok()) << text(status);
    EXPECT_EQ(restored.outcome(), v1::RestoreGpuResponse::OUTCOME_RESTORED);
    EXPECT_EQ(restored.driver(), "i915");
}

// What one of them has looked at and put on record is not another's to change meanwhile: whatever
// the order, what a bind found is what the last restore brings back.
TEST_F(Rpc, ChangesOfOneFunctionByManyComeOneAfterTheOther) {
    start_daemon();
    const auto override = "/sys/bus/pci/devices/" + std::string(gpu) + "/driver_override";
    const auto before = root.read(override);
    const auto change = [&](bool binds) {
        for (int i = 0; i < 10; ++i) {
            grpc::ClientContext context;
            if (binds) {
                v1::BindGpuRequest request;
                request.set_address(std::string(gpu));
                v1::BindGpuResponse bound;
                const auto status = client->host->BindGpu(&context, request, &bound);
                EXPECT_TRUE(status.ok()) << text(status);
                EXPECT_EQ(bound.earlier_driver(),
                          bound.changed() ? "i915" : bound.earlier_driver());
            } else {
                v1::RestoreGpuRequest request;
                request.set_address(std::string(gpu));
                v1::RestoreGpuResponse restored;
                const auto status = client->host->RestoreGpu(&context, request, &restored);
                EXPECT_TRUE(status.ok()) << text(status);
            }
        }
    };
    std::vector<std::thread> clients;
    for (int i = 0; i < 6; ++i)
        clients.emplace_back(change, i % 2 == 0);
    for (auto& each : clients)
        each.join();
    grpc::ClientContext context;
    v1::RestoreGpuRequest request;
    request.set_address(std::string(gpu));
    v1::RestoreGpuResponse restored;
    const auto status = client->host->RestoreGpu(&context, request, &restored);
    EXPECT_TRUE(status.ok()) << text(status);
    EXPECT_EQ(restored.driver(), "i915");
    EXPECT_NE(root.read(override), "vfio-pci\n") << "it was " << before;
}

TEST_F(Rpc, ASandboxsLife) {
    start_with_sandbox();
    const auto before = snapshot();
    {
        v1::PlanRequest request;
        request.set_sandbox("sb1");
        request.set_device(std::string(type8));
        v1::PlanResponse plan;
        grpc::ClientContext context;
        const auto status = client->devices->Plan(&context, request, &plan);
        ASSERT_TRUE(status.ok()) << text(status);
        ASSERT_GE(plan.steps_size(), 3);
        EXPECT_EQ(plan.steps(0).step(), "claim");
        EXPECT_FALSE(plan.steps(0).has_uuid());
        const auto& last = plan.steps(plan.steps_size() - 1);
        EXPECT_EQ(last.step(), "plug");
        EXPECT_NE(last.qmp_json().find("\"device_add\""), std::string::npos);
        expect_untouched(before);
    }
    v1::AttachResponse attached;
    auto status = attach(type8, uuid_a, &attached);
    ASSERT_TRUE(status.ok()) << text(status);
    ASSERT_EQ(attached.attachments_size(), 1);
    EXPECT_EQ(attached.attachments(0).uuid(), uuid_a);
    EXPECT_EQ(attached.attachments(0).kind(), v1::ATTACHMENT_KIND_MDEV);
    EXPECT_EQ(attached.attachments(0).guest_address(), "0000:00:05.0");
    EXPECT_TRUE(attached.attachments(0).owned());
    {
        v1::ListDevicesRequest request;
        request.set_sandbox("sb1");
        v1::ListDevicesResponse devices;
        grpc::ClientContext context;
        ASSERT_TRUE(client->devices->List(&context, request, &devices).ok());
        ASSERT_EQ(devices.attachments_size(), 1);
        EXPECT_EQ(devices.attachments(0).SerializeAsString(),
                  attached.attachments(0).SerializeAsString());
    }
    {
        v1::GetRequest request;
        request.set_sandbox("sb1");
        v1::Sandbox sandbox;
        grpc::ClientContext context;
        ASSERT_TRUE(client->sandboxes->Get(&context, request, &sandbox).ok());
        EXPECT_EQ(sandbox.attachments_size(), 1);
        EXPECT_EQ(sandbox.qmp_socket(), machine->path());
    }
    {
        v1::ListResponse all;
        grpc::ClientContext context;
        ASSERT_TRUE(client->sandboxes->List(&context, {}, &all).ok());
        ASSERT_EQ(all.sandboxes_size(), 1);
        EXPECT_EQ(all.sandboxes(0).attachments_size(), 1);
    }
    {
        v1::ReconcileResponse report;
        grpc::ClientContext context;
        status = client->host->Reconcile(&context, {}, &report);
        ASSERT_TRUE(status.ok()) << text(status);
        ASSERT_EQ(report.sandboxes_size(), 1);
        EXPECT_EQ(report.sandboxes(0).verdict(), v1::ReconcileResponse::VERDICT_KEPT);
    }
    ASSERT_TRUE(detach(uuid_a).ok());
    expect_untouched(before);
    ASSERT_TRUE(attach(gpu).ok());
    v1::ReleaseRequest release;
    release.set_sandbox("sb1");
    v1::ReleaseResponse released;
    grpc::ClientContext context;
    status = client->sandboxes->Release(&context, release, &released);
    ASSERT_TRUE(status.ok()) << text(status);
    EXPECT_TRUE(released.released());
    EXPECT_EQ(released.detached_size(), 1);
    grpc::ClientContext again;
    v1::Sandbox gone;
    v1::GetRequest get;
    get.set_sandbox("sb1");
    status = client->sandboxes->Get(&again, get, &gone);
    EXPECT_EQ(status.error_code(), grpc::NOT_FOUND);
    EXPECT_EQ(reason(status), "sandbox_not_found");
}

TEST_F(Rpc, OpenAgainIsAnsweredAsItIsAndMayChangeTheSocket) {
    start_with_sandbox();
    open(); // the monitor is taken by ourselves: opening it anew would be "busy"
    fake::FakeMachine other;
    v1::OpenRequest request;
    request.set_sandbox("sb1");
    request.set_qmp_socket(other.path());
    v1::Sandbox sandbox;
    grpc::ClientContext context;
    const auto status = client->sandboxes->Open(&context, request, &sandbox);
    ASSERT_TRUE(status.ok()) << text(status);
    EXPECT_EQ(sandbox.qmp_socket(), other.path());
    ASSERT_TRUE(attach(type8).ok());
    EXPECT_EQ(other.devices().size(), 1u);
}

TEST_F(Rpc, QmpUnderTheProxysPolicyAndItsTrace) {
    configure("", "qmp_proxy = \"read-only\"\nqmp_log = true");
    start_with_sandbox();
    v1::ExecuteRequest request;
    request.set_sandbox("sb1");
    request.set_command("query-status");
    v1::ExecuteResponse answer;
    {
        grpc::ClientContext context;
        const auto status = client->qmp->Execute(&context, request, &answer);
        ASSERT_TRUE(status.ok()) << text(status);
        EXPECT_NE(answer.return_json().find("\"running\""), std::string::npos);
    }
    {
        request.set_command("stop");
        grpc::ClientContext context;
        const auto status = client->qmp->Execute(&context, request, &answer);
        EXPECT_EQ(reason(status), "qemu_refused") << text(status);
        EXPECT_EQ(machine->count("stop"), 0u);
    }
    {
        request.set_arguments_json("[1]");
        grpc::ClientContext context;
        const auto status = client->qmp->Execute(&context, request, &answer);
        EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT) << text(status);
    }
    v1::TraceRequest trace;
    trace.set_sandbox("sb1");
    trace.set_follow(true);
    grpc::ClientContext context;
    const auto stream = client->qmp->Trace(&context, trace);
    v1::TraceRecord record;
    const auto until = [&](v1::TraceRecord::Kind kind, const std::string& part) {
        while (stream->Read(&record))
            if (record.kind() == kind && record.text().find(part) != std::string::npos)
                return true;
        return false;
    };
    EXPECT_TRUE(until(v1::TraceRecord::KIND_SENT, "device_del"));
    // What comes now, too.
    ASSERT_TRUE(attach(type8, uuid_b).ok());
    EXPECT_TRUE(until(v1::TraceRecord::KIND_SENT, std::string(uuid_b)));
    EXPECT_TRUE(until(v1::TraceRecord::KIND_RECEIVED, "return"));
    EXPECT_GT(record.time_us(), 0);
    context.TryCancel();
    EXPECT_EQ(stream->Finish().error_code(), grpc::CANCELLED);

    v1::TraceRequest whole;
    whole.set_sandbox("sb1");
    grpc::ClientContext once;
    const auto all = client->qmp->Trace(&once, whole);
    int records = 0;
    while (all->Read(&record))
        ++records;
    EXPECT_TRUE(all->Finish().ok());
    EXPECT_GT(records, 10);
}

TEST_F(Rpc, QmpAndTraceNeedTheirKeys) {
    start_with_sandbox();
    v1::ExecuteRequest request;
    request.set_sandbox("sb1");
    request.set_command("query-status");
    v1::ExecuteResponse answer;
    grpc::ClientContext context;
    EXPECT_EQ(reason(client->qmp->Execute(&context, request, &answer)), "monitor_missing");
    v1::TraceRequest trace;
    trace.set_sandbox("sb1");
    grpc::ClientContext another;
    EXPECT_EQ(reason(client->qmp->Trace(&another, trace)->Finish()), "host_io");
    trace.set_sandbox("../sb1");
    grpc::ClientContext third;
    EXPECT_EQ(reason(client->qmp->Trace(&third, trace)->Finish()), "malformed_sandbox_id");
}

} // namespace
} // namespace kata_vfio::service_test
