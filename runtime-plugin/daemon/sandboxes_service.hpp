// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kata_vfio/v1/sandboxes.grpc.pb.h"
#include "runtime-plugin/daemon/core.hpp"

namespace kata_vfio::daemon {

/// sandboxes.proto, all through the plugin; Watch from the core's events.
class SandboxesService final : public v1::Sandboxes::CallbackService {
  public:
    explicit SandboxesService(Core& core) : core_(core) {}

    using Context = grpc::CallbackServerContext;
    using Reactor = grpc::ServerUnaryReactor;
    Reactor* Open(Context*, const v1::OpenRequest*, v1::Sandbox*) override;
    Reactor* Get(Context*, const v1::GetRequest*, v1::Sandbox*) override;
    Reactor* List(Context*, const v1::ListRequest*, v1::ListResponse*) override;
    Reactor* Release(Context*, const v1::ReleaseRequest*, v1::ReleaseResponse*) override;
    grpc::ServerWriteReactor<v1::WatchResponse>* Watch(Context*, const v1::WatchRequest*) override;

  private:
    Core& core_;
};

} // namespace kata_vfio::daemon
