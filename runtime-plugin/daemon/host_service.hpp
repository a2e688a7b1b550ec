// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kata_vfio/v1/host.grpc.pb.h"
#include "runtime-plugin/daemon/core.hpp"

namespace kata_vfio::daemon {

/// host.proto, by what the command line's host verbs are made of.
class HostService final : public v1::Host::CallbackService {
  public:
    explicit HostService(Core& core) : core_(core) {}

    using Context = grpc::CallbackServerContext;
    using Reactor = grpc::ServerUnaryReactor;
    Reactor* Check(Context*, const v1::CheckRequest*, v1::CheckResponse*) override;
    Reactor* ListGpus(Context*, const v1::ListGpusRequest*, v1::ListGpusResponse*) override;
    Reactor* ListVgpuTypes(Context*, const v1::ListVgpuTypesRequest*,
                           v1::ListVgpuTypesResponse*) override;
    Reactor* ListVgpus(Context*, const v1::ListVgpusRequest*, v1::ListVgpusResponse*) override;
    Reactor* CreateVgpu(Context*, const v1::CreateVgpuRequest*, v1::Vgpu*) override;
    Reactor* RemoveVgpu(Context*, const v1::RemoveVgpuRequest*, v1::RemoveVgpuResponse*) override;
    Reactor* BindGpu(Context*, const v1::BindGpuRequest*, v1::BindGpuResponse*) override;
    Reactor* RestoreGpu(Context*, const v1::RestoreGpuRequest*, v1::RestoreGpuResponse*) override;
    Reactor* Reconcile(Context*, const v1::ReconcileRequest*, v1::ReconcileResponse*) override;

  private:
    Core& core_;
};

} // namespace kata_vfio::daemon
