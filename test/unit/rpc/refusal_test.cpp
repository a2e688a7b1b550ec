// SPDX-License-Identifier: Apache-2.0
#include "config/base/file.hpp"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "runtime-plugin/rpc/refusal.hpp"
#include "test/places/places.hpp"

#include <gtest/gtest.h>

#include <optional>

namespace kata_vfio::rpc {
namespace {

google::rpc::Status full(const grpc::Status& status) {
    google::rpc::Status parsed;
    EXPECT_TRUE(parsed.ParseFromString(status.error_details()));
    EXPECT_EQ(parsed.code(), status.error_code());
    EXPECT_EQ(parsed.message(), status.error_message());
    return parsed;
}

template <class Detail>
std::optional<Detail> detail(const grpc::Status& status) {
    const auto parsed = full(status);
    for (const auto& each : parsed.details()) {
        Detail found;
        if (each.UnpackTo(&found))
            return found;
    }
    return std::nullopt;
}

TEST(Refusal, EveryErrorComesBackAsItself) {
    for (const auto* row = errc_begin(); row != errc_end(); ++row) {
        if (row->code == Errc::ok)
            continue;
        Failure failure(row->code, "the problem");
        failure.during("doing").said("the kernel's words").blocked_by("pid 1").remedy("do it");
        const auto status = status_of(failure, {"s1", "0000:00:02.0"});
        EXPECT_FALSE(status.ok()) << row->name;
        const auto info = detail<google::rpc::ErrorInfo>(status);
        ASSERT_TRUE(info) << row->name;
        EXPECT_EQ(info->reason(), row->name);
        EXPECT_EQ(info->domain(), "kata-vfio");
        const auto back = failure_of(status);
        EXPECT_EQ(back.code(), failure.code());
        EXPECT_STREQ(back.what(), failure.what());
        EXPECT_EQ(back.action(), "doing");
        EXPECT_EQ(back.verbatim(), "the kernel's words");
        EXPECT_EQ(back.blocker(), "pid 1");
        EXPECT_EQ(back.advice(), "do it");
        EXPECT_EQ(detail<google::rpc::PreconditionFailure>(status).has_value(),
                  mapping(row->code).precondition);
        EXPECT_EQ(detail<google::rpc::RetryInfo>(status).has_value(), mapping(row->code).retry);
        EXPECT_EQ(detail<google::rpc::ResourceInfo>(status).has_value(),
                  !mapping(row->code).resource.empty());
    }
}

TEST(Refusal, PolicyIsAPreconditionAndSaysOfWhat) {
    for (const auto code : {Errc::config_invalid, Errc::machine_refused, Errc::root_bus_off,
                            Errc::live_machine_refused, Errc::annotation_refused, Errc::not_allowed,
                            Errc::group_not_viable, Errc::no_iommu}) {
        const auto status =
            status_of(Failure(code, "no").blocked_by("ahci"), {"s1", "0000:00:1f.3"});
        const auto failure = detail<google::rpc::PreconditionFailure>(status);
        ASSERT_TRUE(failure) << name(code);
        EXPECT_EQ(failure->violations(0).type(), name(code));
        EXPECT_EQ(failure->violations(0).subject(), "0000:00:1f.3");
        EXPECT_EQ(failure->violations(0).description(), "ahci");
    }
}

TEST(Refusal, AMalformedMemberIsNamed) {
    const auto bad = detail<google::rpc::BadRequest>(
        status_of(Failure(Errc::malformed_uuid, "not a UUID"), {"s1", "x"}));
    ASSERT_TRUE(bad);
    EXPECT_EQ(bad->field_violations(0).field(), "uuid");
}

TEST(Refusal, AnErrorOfAYoungerPluginGoesByItsHundred) {
    EXPECT_EQ(mapping(static_cast<Errc>(299)).status, grpc::INVALID_ARGUMENT);
    EXPECT_EQ(mapping(static_cast<Errc>(399)).status, grpc::FAILED_PRECONDITION);
    EXPECT_EQ(mapping(static_cast<Errc>(599)).status, grpc::UNAVAILABLE);
    EXPECT_EQ(mapping(static_cast<Errc>(4711)).status, grpc::UNKNOWN);
}

TEST(Refusal, TheServicesOwnHaveReasonsOfTheirOwn) {
    for (const auto refusal : service_refusals) {
        const auto status = status_of(refusal, "why");
        EXPECT_FALSE(status.ok());
        EXPECT_EQ(detail<google::rpc::ErrorInfo>(status)->reason(), name(refusal));
        for (const auto* row = errc_begin(); row != errc_end(); ++row)
            EXPECT_NE(name(refusal), row->name);
        EXPECT_EQ(failure_of(status).problem(), "why");
    }
}

TEST(Refusal, OfTheServicesOwnOnlyThoseOfTheRequestAreWrongUsage) {
    const auto code = [](ServiceRefusal refusal) {
        return failure_of(status_of(refusal, "x")).code();
    };
    EXPECT_EQ(code(ServiceRefusal::draining), Errc::host_io);
    EXPECT_EQ(code(ServiceRefusal::too_many_calls), Errc::host_io);
    EXPECT_EQ(code(ServiceRefusal::watcher_too_slow), Errc::host_io);
    EXPECT_EQ(code(ServiceRefusal::message_too_large), Errc::invalid_argument);
    EXPECT_EQ(code(ServiceRefusal::request_id_reused), Errc::invalid_argument);
    EXPECT_EQ(code(ServiceRefusal::peer_not_allowed), Errc::permission_denied);
    EXPECT_EQ(code(ServiceRefusal::malformed_message), Errc::abi_mismatch);
    EXPECT_EQ(code(ServiceRefusal::unknown_method), Errc::abi_mismatch);
}

TEST(Refusal, WhatIsNotOursIsTheNearest) {
    EXPECT_EQ(failure_of({grpc::UNAVAILABLE, "failed to connect"}).code(), Errc::host_io);
    const auto closed = failure_of(
        {grpc::UNAVAILABLE, "failed to connect; last error: unix:/x.sock: Permission denied"});
    EXPECT_NE(std::string(closed.what()).find("SocketMode"), std::string::npos) << closed.what();
    EXPECT_EQ(failure_of({grpc::DEADLINE_EXCEEDED, ""}).code(), Errc::host_timeout);
    EXPECT_EQ(failure_of({grpc::CANCELLED, ""}).code(), Errc::cancelled);
    EXPECT_EQ(failure_of({grpc::INTERNAL, "x", "\xff\xff"}).verbatim(), "x");
}

TEST(Refusal, DocsHaveTheTable) {
    const auto text = read_file(std::filesystem::path(test::source_dir) / "docs/service.md");
    ASSERT_TRUE(text);
    for (const auto* row = errc_begin(); row != errc_end(); ++row) {
        if (row->code == Errc::ok)
            continue;
        const auto line = "| `" + std::string(row->name) + "` | " +
                          std::string(code_name(mapping(row->code).status)) + " |";
        EXPECT_NE(text->find(line), std::string::npos) << line;
    }
    for (const auto refusal : service_refusals)
        EXPECT_NE(text->find("| `" + std::string(name(refusal)) + "` |"), std::string::npos)
            << name(refusal);
}

} // namespace
} // namespace kata_vfio::rpc
