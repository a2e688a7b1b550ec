// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/daemon/call.hpp"

#include <gtest/gtest.h>

namespace kata_vfio::daemon {
namespace {

/// What begins a stream may be waiting for something when the client goes, and be refused then.
TEST(AStreamThatHasEnded, IsRefusedWithoutAWord) {
    boost::asio::io_context loop;
    int refused = 0, ending = 0;
    Call::Hooks hooks;
    hooks.refused = [&](std::string_view, const std::string&) { ++refused; }; // asks gRPC's context
    hooks.ending = [&] { ++ending; };
    const auto stream = std::make_shared<StreamCall>(
        loop, [](grpc::ByteBuffer&) { return true; }, std::move(hooks),
        [](const std::shared_ptr<StreamCall>&) {});
    stream->finish(grpc::Status::CANCELLED);
    stream->refuse(Failure(Errc::qmp_protocol, "what came is no QMP"));
    stream->refuse(Failure(Errc::invalid_argument, "no"));
    EXPECT_EQ(refused, 0);
    EXPECT_EQ(ending, 1);
}

} // namespace
} // namespace kata_vfio::daemon
