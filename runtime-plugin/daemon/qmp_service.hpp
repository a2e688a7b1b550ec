// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kata_vfio/v1/qmp.grpc.pb.h"
#include "runtime-plugin/daemon/core.hpp"

namespace kata_vfio::daemon {

/// qmp.proto: a client of the sandbox's QMP proxy, and a reader of its wire log. The monitor itself
/// is the plugin's.
class QmpService final : public v1::Qmp::CallbackService {
  public:
    explicit QmpService(Core& core) : core_(core) {}

    grpc::ServerUnaryReactor* Execute(grpc::CallbackServerContext*, const v1::ExecuteRequest*,
                                      v1::ExecuteResponse*) override;
    grpc::ServerWriteReactor<v1::TraceRecord>* Trace(grpc::CallbackServerContext*,
                                                     const v1::TraceRequest*) override;

  private:
    Core& core_;
};

} // namespace kata_vfio::daemon
