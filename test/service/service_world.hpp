// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kata_vfio/v1/devices.grpc.pb.h"
#include "kata_vfio/v1/host.grpc.pb.h"
#include "kata_vfio/v1/operations.grpc.pb.h"
#include "kata_vfio/v1/qmp.grpc.pb.h"
#include "kata_vfio/v1/sandboxes.grpc.pb.h"
#include "test/abi/snapshot.hpp"
#include "test/fixtures/fake_qmp/fake_machine.hpp"
#include "test/fixtures/fake_root/fake_kernel.hpp"
#include "test/fixtures/fake_root/fake_root.hpp"
#include "test/service/daemon_process.hpp"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace kata_vfio::service_test {

inline constexpr std::string_view gpu = "0000:00:02.0";
inline constexpr std::string_view type8 = "i915-GVTg_V4_8";
inline constexpr std::string_view uuid_a = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";
inline constexpr std::string_view uuid_b = "a297db4a-f4c2-11e6-90f6-d3b88d6c9525";

/// The stubs of one connection.
struct Client {
    /// `window`: how many bytes the client takes before it reads them; 0 is gRPC's own choice.
    explicit Client(const std::string& address, int window = 0);
    std::shared_ptr<grpc::Channel> channel;
    std::unique_ptr<v1::Host::Stub> host;
    std::unique_ptr<v1::Sandboxes::Stub> sandboxes;
    std::unique_ptr<v1::Devices::Stub> devices;
    std::unique_ptr<v1::Operations::Stub> operations;
    std::unique_ptr<v1::Qmp::Stub> qmp;
};

/// A host with a kernel in it, a machine, and a kata-vfiod on them, behind a unix socket.
class Service : public ::testing::Test {
  protected:
    Service();
    ~Service() override;

    /// `daemon` goes into [vfio.daemon], `vfio` into [vfio], `timeouts` into [vfio.timeouts].
    void configure(std::string_view daemon = {}, std::string_view vfio = {},
                   std::string_view timeouts = {}, std::string_view machine = "pc") const;
    void start_daemon();
    /// start_daemon(), and sandbox "sb1" open, with one attach and detach behind it.
    void start_with_sandbox();
    void open(const std::string& id = "sb1");

    std::string address() const { return "unix:" + socket.string(); }
    std::vector<std::string> args() const;
    /// Below the host root, without what the daemon writes for itself, and the pid in a sandbox's
    /// lock.
    abi_test::Snapshot snapshot() const;
    void expect_untouched(const abi_test::Snapshot& before) const;

    v1::AttachRequest attach_request(std::string_view device, std::string_view uuid = {},
                                     std::string_view request_id = {}) const;
    grpc::Status attach(std::string_view device, std::string_view uuid = {},
                        v1::AttachResponse* response = nullptr);
    grpc::Status detach(std::string_view device);

    fake::FakeRoot root;
    std::filesystem::path directory, config, socket;
    std::unique_ptr<fake::FakeKernel> kernel;
    std::unique_ptr<fake::FakeMachine> machine;
    std::unique_ptr<DaemonProcess> daemon;
    std::unique_ptr<Client> client;
};

/// The reason of a refusal's ErrorInfo; "" when it has none.
std::string reason(const grpc::Status& status);
std::string text(const grpc::Status& status);

} // namespace kata_vfio::service_test
