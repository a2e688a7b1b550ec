// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"

#include <grpcpp/support/status.h>

#include <chrono>
#include <string>
#include <string_view>

namespace kata_vfio::rpc {

/// In the trailing metadata of every call: the revision of Watch's last event when it ended.
inline constexpr std::string_view revision_key = "kata-vfio-revision";

/// Domain of every ErrorInfo of ours.
inline constexpr std::string_view domain = "kata-vfio";

/// What a call is about, for ResourceInfo, BadRequest and PreconditionFailure; "" where it is not.
struct Subject {
    std::string sandbox;
    std::string device; ///< as the request named it: a device, type, parent or UUID
};

/// The refusals that are the service's own: their names are reasons beside those of docs/errors.md.
enum class ServiceRefusal {
    draining,          ///< the daemon ends: another one will serve
    request_id_reused, ///< with other content
    peer_not_allowed,  ///< uid not in allowed_uids
    watcher_too_slow,  ///< too far behind
    too_many_calls,    ///< under way
    message_too_large, ///< above the daemon's largest_message
    malformed_message, ///< bytes that are none of the method's
    unknown_method,    ///< of whatever service
};
/// All of them, for tables and tests.
inline constexpr ServiceRefusal service_refusals[] = {
    ServiceRefusal::draining,          ServiceRefusal::request_id_reused,
    ServiceRefusal::peer_not_allowed,  ServiceRefusal::watcher_too_slow,
    ServiceRefusal::too_many_calls,    ServiceRefusal::message_too_large,
    ServiceRefusal::malformed_message, ServiceRefusal::unknown_method};
std::string_view name(ServiceRefusal refusal) noexcept;

/// One row per error, for docs/service.md and its test.
struct Mapping {
    Errc code;
    grpc::StatusCode status;
    bool precondition;         ///< has a PreconditionFailure
    bool retry;                ///< has a RetryInfo
    std::string_view resource; ///< resource_type of its ResourceInfo; "" for none
};
/// Of a code of the plugin's that is younger than this table: by its hundred.
Mapping mapping(Errc code) noexcept;
std::string_view code_name(grpc::StatusCode code) noexcept;

/// The status of a call that failed so, details included.
grpc::Status status_of(const Failure& failure, const Subject& subject = {});
grpc::Status status_of(ServiceRefusal refusal, const std::string& message);

/// What a client was told, as the failure it stands for: parts and code from ErrorInfo. Statuses
/// that are not ours (the daemon is not there, a message too large) become the nearest of ours.
Failure failure_of(const grpc::Status& status);

} // namespace kata_vfio::rpc
