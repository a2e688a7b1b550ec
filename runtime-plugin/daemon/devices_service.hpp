// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kata_vfio/v1/devices.grpc.pb.h"
#include "kata_vfio/v1/operations.grpc.pb.h"
#include "runtime-plugin/daemon/core.hpp"

namespace kata_vfio::daemon {

/// devices.proto, all through the plugin.
class DevicesService final : public v1::Devices::CallbackService {
  public:
    explicit DevicesService(Core& core) : core_(core) {}

    using Context = grpc::CallbackServerContext;
    using Reactor = grpc::ServerUnaryReactor;
    Reactor* Attach(Context*, const v1::AttachRequest*, v1::AttachResponse*) override;
    Reactor* Detach(Context*, const v1::DetachRequest*, v1::DetachResponse*) override;
    Reactor* List(Context*, const v1::ListDevicesRequest*, v1::ListDevicesResponse*) override;
    Reactor* Plan(Context*, const v1::PlanRequest*, v1::PlanResponse*) override;

  private:
    Core& core_;
};

/// operations.proto
class OperationsService final : public v1::Operations::CallbackService {
  public:
    explicit OperationsService(Core& core) : core_(core) {}
    grpc::ServerUnaryReactor* Cancel(grpc::CallbackServerContext*, const v1::CancelRequest*,
                                     v1::CancelResponse*) override;

  private:
    Core& core_;
};

} // namespace kata_vfio::daemon
